"""Digits of the solution of A W = 2B, gained a step at a time with an exact residual.

Held are integers W (on the grid 2^-g) and T with the exact residual

    R = 2^(g+f) 2B - A (2^f W + T)

so that what is missing is A^-1 R. A step of s bits takes a guess X of it:

    V = round(2^s X),   Y = 2^s X - V,   T <- 2^s T + V,   R <- 2^s R - A V,   f <- f + s

and now it is about Y. A V, exact, and A Y, in float64, are taken in one pass over A.
While f < 0, the digits before the grid's point are gained, and W is 0; with f = 0, W has
them all and T is 0.
"""

from dataclasses import dataclass, replace
from math import frexp
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unlearning.errors import NotSolvableError
from unlearning.integers import Checked
from unlearning.objective import GRID_BITS
from unlearning.statistics import Statistics
from unlearning.system import System

_LARGEST_STEP = 30
"""Bits: a guess in float64 has no more to give."""

_Integers = NDArray[np.int64]
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Carried:
    """Weights on the grid, their exact residual R and about A^-1 R, each of shape (d, C)."""

    weights: _Integers
    residual: _Integers
    missing: _Floats


@dataclass(frozen=True)
class Expansion:
    """Some columns of W + 2^-f T, with R, and R_W, the residual of W alone.

    A step proves that R is below 2^62; what it starts from need not be.

    Attributes:
        Y: about A^-1 R, in float64.
        rest: R - A Y, in float64.
    """

    W: _Integers
    R_W: _Integers
    T: NDArray[Any]
    R: Checked
    f: int
    Y: _Floats
    rest: _Floats

    @classmethod
    def at_zero(cls, statistics: Statistics) -> Self:
        """Without a digit: f = -g, R = 2B, and nothing known of A^-1 R."""
        R = 2 * statistics.B.astype(np.int64)
        zero, Y = np.zeros_like(R), np.zeros_like(statistics.B)
        return cls(zero, zero, zero, Checked.of(R), -GRID_BITS, Y, R.astype(np.float64))

    @classmethod
    def at(cls, carried: Carried) -> Self:
        """With all that was carried."""
        W, R, Y = carried.weights, carried.residual, carried.missing
        return cls(W, R, np.zeros_like(W), Checked.of(R), 0, Y, np.zeros_like(Y))

    def __getitem__(self, columns: NDArray[np.bool_]) -> Self:
        """Some of the columns."""

        def some(values: NDArray[Any]) -> NDArray[Any]:
            return np.asfortranarray(values[:, columns])

        return replace(
            self,
            W=some(self.W),
            R_W=some(self.R_W),
            T=some(self.T),
            R=Checked(*map(some, (self.R.modular, self.R.value, self.R.magnitude))),
            Y=some(self.Y),
            rest=some(self.rest),
        )

    def step(self, A: System, X: _Floats, most: int) -> Self:
        """Gains as many bits as X has and R can bear, at most ``most``.

        Raises NotSolvableError if X is so far off that not one is gained.
        """
        if not np.abs(X).max(initial=0.0) < 2.0**52:  # nor is a NaN
            raise NotSolvableError("the approximate inverse gave a value that no weight can have")
        s, least = min(most, max(_LARGEST_STEP - _bits(X), 1)), min(most, 1)
        while s >= least:
            scaled = X * 2.0**s
            V = np.rint(scaled)
            Y = scaled - V
            products = A.times(V, Y)
            R = (self.R << s) - products.exact
            exact = R.exact()
            if exact is not None:
                return self._after(s, V.astype(np.int64), exact, Y, exact - products.rounded)
            s -= max(1, _bits(R.value) - 62)
        raise NotSolvableError("the approximate inverse is too far from A^-1 to gain a digit")

    def _after(self, s: int, V: _Integers, R: _Integers, Y: _Floats, rest: _Floats) -> Self:
        T, f = self.T, self.f + s
        if f > 60 or (s and int(np.abs(T).max()) << s >= 2**60):
            T = T.astype(object)  # Python's integers have no end
        T = T * (1 << s) + V
        if f != 0:
            return replace(self, T=T, R=Checked.of(R), f=f, Y=Y, rest=rest)
        W = self.W + T.astype(np.int64)
        return replace(self, W=W, R_W=R, T=np.zeros_like(W), R=Checked.of(R), f=f, Y=Y, rest=rest)


def _bits(X: _Floats) -> int:
    """The least b with |X| <= 2^b, up to one."""
    return frexp(float(np.abs(X).max()))[1]
