"""The linear system A W = 2B, A = 2G + L I: its products, and how far a guess is off."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unlearning import limbs
from unlearning.gram import GramMatrix
from unlearning.integers import Checked
from unlearning.statistics import Statistics

NORM_SLACK = 1 + 2.0**-30
"""Covers the rounding of a norm in float64."""

_Floats = NDArray[np.float64]


class Products(NamedTuple):
    """A V, exact, and A Y in float64, both of shape (d, C)."""

    exact: Checked
    rounded: _Floats


@dataclass(frozen=True)
class System:
    """A = 2G + L I.

    Attributes:
        G: the Gram matrix.
        ridge: L, which bounds A from below.
    """

    G: GramMatrix
    ridge: int

    @classmethod
    def of(cls, statistics: Statistics) -> "System":
        """The system of one state of the statistics."""
        return cls(statistics.G, statistics.ridge)

    def times(self, V: _Floats, Y: _Floats) -> Products:
        """Multiplies integers V, exactly, and Y, both of shape (d, C), in Fortran order."""
        exact, rounded = limbs.product(self.G, V, Y)
        return Products(
            (exact << 1) + Checked.of_exact(V) * self.ridge, 2.0 * rounded + float(self.ridge) * Y
        )

    def distance(self, R: _Floats, Y: _Floats, rest: _Floats) -> _Floats:
        """Upper bounds on || A^-1 R - Y ||_2, shape (C,), given ``rest`` = R - A Y in float64.

        It is at most || R - A Y ||_2 / L. A sum of d terms in float64, in any order, is off
        by at most d 2^-53 of their magnitudes (Higham, Accuracy and Stability, 2002,
        section 3.1); the magnitudes' matrix has at most the norm of its rows' sums.
        """
        d = len(Y)
        norm = 2.0 * sum(limb.norm << limb.shift for limb in self.G.limbs()) + self.ridge
        lost = (d + 16) * 2.0**-53 * (norm * _norms(Y) + _norms(R))
        return (_norms(rest) + lost) * NORM_SLACK / self.ridge


def _norms(columns: _Floats) -> _Floats:
    squares = np.square(columns).sum(axis=0)
    return np.asarray(np.sqrt(squares) + 2.0**-400)  # squares may underflow
