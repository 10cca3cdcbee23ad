"""Numbers and times as people read them; a bound is rounded up, what is left of time down."""

from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from math import isinf

from unlearn_server.reports.summary import Extreme

NONE = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_TWO_DIGITS_UP = Context(prec=2, rounding=ROUND_CEILING)


def count(number: int) -> str:
    """A count, with thousands apart."""
    return f"{number:,}"


def counted(number: int, thing: str) -> str:
    """So many things, whose plural ends in s."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def minute(time: datetime) -> str:
    """Date and minute, in UTC."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def date(time: datetime) -> str:
    """The day, in UTC."""
    return f"{time:%Y-%m-%d}"


def days_left(days: float) -> str:
    """With a decimal, rounded down: what is late by a second is late."""
    return _decimal(days, ROUND_FLOOR)


def days_taken(days: float) -> str:
    """With a decimal, the nearest."""
    return _decimal(days, ROUND_HALF_EVEN)


def bound(value: float) -> str:
    """Two digits, rounded up; infinity limits nothing."""
    if isinf(value):
        return "no limit"
    rounded = _TWO_DIGITS_UP.create_decimal_from_float(value)
    return (
        f"{rounded.normalize():f}"
        if not rounded or rounded >= Decimal("0.0001")
        else f"{rounded:.1e}"
    )


def percent(share: float) -> str:
    """With a decimal, rounded up."""
    of_hundred = (Decimal(repr(share)) * 100).quantize(Decimal("0.1"), rounding=ROUND_CEILING)
    return f"{of_hundred} %"


def certificate(extreme: Extreme | None) -> str:
    """Where an extreme is stated."""
    return NONE if extreme is None or extreme.certificate is None else f"{extreme.certificate}"


def _decimal(value: float, rounding: str) -> str:
    rounded = Decimal(repr(value)).quantize(Decimal("0.1"), rounding=rounding)
    return f"{rounded:f}".replace("-", _MINUS)
