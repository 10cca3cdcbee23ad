"""Integers modulo 2^64, with a float64 twin that says when they are the true ones.

Sums and products of int64 wrap around without notice, and a wrapped residual passes for
a small one. So each number is carried twice: modulo 2^64, exactly, and in float64 with a
bound on its error. Where the twin shows that the true value is below 2^62, the two
agree, and the modular one is it.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unlearning import blas

_ERROR = 2.0**-48
"""Of the magnitudes: more than float64 loses in the few operations that are strung together."""

_ROW_BITS = 14
"""Lattice rows are at most 2^14 (see ``lattice``)."""


@dataclass(frozen=True)
class Checked:
    """Integers of one shape.

    Attributes:
        modular: modulo 2^64, exact, uint64.
        value: the same in float64, rounded.
        magnitude: sum of the magnitudes that went into it, which bounds the rounding.
    """

    modular: NDArray[np.uint64]
    value: NDArray[np.float64]
    magnitude: NDArray[np.float64]

    @classmethod
    def of(cls, integers: NDArray[np.integer[Any]]) -> Self:
        """Takes int64."""
        value = integers.astype(np.float64)
        return cls(integers.astype(np.int64).view(np.uint64), value, np.abs(value))

    @classmethod
    def of_exact(cls, floats: NDArray[np.float64], shift: int = 0) -> Self:
        """Takes float64 that are exact multiples of 2^shift, below 2^53 times that."""
        units = (floats * 2.0**-shift).astype(np.int64).view(np.uint64)
        return cls(units << np.uint64(shift), floats, np.abs(floats))

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.modular + other.modular,
            self.value + other.value,
            self.magnitude + other.magnitude,
        )

    def __sub__(self, other: Self) -> Self:
        return type(self)(
            self.modular - other.modular,
            self.value - other.value,
            self.magnitude + other.magnitude,
        )

    def __mul__(self, factor: int) -> Self:
        return type(self)(
            self.modular * np.uint64(factor),
            self.value * float(factor),
            self.magnitude * float(factor),
        )

    def __lshift__(self, bits: int) -> Self:
        return type(self)(
            self.modular << np.uint64(bits),
            self.value * 2.0**bits,
            self.magnitude * 2.0**bits,
        )

    def __getitem__(self, columns: tuple[slice, slice]) -> Self:
        return type(self)(self.modular[columns], self.value[columns], self.magnitude[columns])

    def exact(self) -> NDArray[np.int64] | None:
        """The integers, or None where one cannot be shown to be below 2^62."""
        # NaN must not pass: so not (... < ...), rather than (... >= ...).
        if not (np.abs(self.value) + _ERROR * self.magnitude < 2.0**62).all():
            return None
        return self.modular.view(np.int64)


def times_rows(
    rows: NDArray[np.float64], X: NDArray[np.int64], *, transpose: bool = False
) -> Checked:
    """Multiplies lattice rows (k, d), or their transpose, with integers X, exactly.

    X is cut into limbs so narrow that float64 holds every partial sum of their products.
    """
    inner = rows.shape[0 if transpose else 1]
    bits = 53 - _ROW_BITS - inner.bit_length()
    total, shift = None, 0
    for limb in _limbs(X, bits):
        product = blas.product(rows.T if transpose else rows, limb)
        term = Checked.of_exact(product) << shift
        total = term if total is None else total + term
        shift += bits
    assert total is not None  # noqa: S101 # there is always a lowest limb
    return total


def _limbs(X: NDArray[np.int64], bits: int) -> list[NDArray[np.float64]]:
    """X = sum_j limb_j 2^(bits j), every |limb| at most 2^(bits - 1)."""
    limbs = []
    while True:
        high = (X + (1 << (bits - 1))) >> bits
        limbs.append((X - (high << bits)).astype(np.float64, order="F"))
        if not high.any():
            return limbs
        X = high
