"""What is said of a measured norm: a power of ten on one side of it.

All digits of a norm are a digest of the rows that it was measured on: who knows all rows but
one could try guesses of that one. A power of ten tells next to nothing, and is a bound still.
"""

from decimal import Decimal
from math import inf


def at_least(value: float) -> float:
    """The smallest power of ten that is not below a value; of 0, infinity and NaN, the same."""
    below = at_most(value)
    return below if not below < value else float(f"1e{_exponent(value) + 1}")


def at_most(value: float) -> float:
    """The largest power of ten that is not above a value; of 0, infinity and NaN, the same."""
    return float(f"1e{_exponent(value)}") if 0 < value < inf else value


def _exponent(value: float) -> int:
    """By the shortest decimal of a float: that of the float nearest to a power is the power."""
    return Decimal(repr(float(value))).adjusted()
