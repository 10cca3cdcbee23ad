"""The linear system A W = 2B, A = 2G + L I: its exact product, and how far a guess is off."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearning.integers import Checked
from unlearning.limbs import GramProduct
from unlearning.statistics import Statistics
from unlearning.triangle import multiply

NORM_SLACK = 1 + 2.0**-30
"""Covers the rounding of a norm in float64."""


@dataclass(frozen=True)
class System:
    """A = 2G + L I.

    Attributes:
        gram: multiplies by G exactly.
        ridge: L, which bounds A from below.
        norm: bounds the Frobenius norm of the entries' magnitudes from above.
    """

    gram: GramProduct
    ridge: int
    norm: float

    @classmethod
    def of(cls, statistics: Statistics) -> "System":
        """The system of one state of the statistics."""
        d, trace = len(statistics.G), float(statistics.G.trace())
        norm = (2 * trace + d * statistics.ridge) * NORM_SLACK  # ||G||_F <= tr G, as G >= 0
        return cls(GramProduct.of(statistics), statistics.ridge, norm)

    @property
    def bits(self) -> int:
        """V may have this many in one pass."""
        return self.gram.bits

    def times(self, V: NDArray[np.float64]) -> Checked:
        """A V for integers |V| < 2^53, float64."""
        return (self.gram(V) << 1) + Checked.of_exact(V) * self.ridge

    def distance(self, R: NDArray[np.int64], Y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Upper bounds on || A^-1 R - Y ||_2, shape (C,).

        It is at most || R - A Y ||_2 / L. That residual is computed in float64, where a sum
        of d terms in any order is off by at most d 2^-53 of their magnitudes (Higham,
        Accuracy and Stability, 2002, section 3.1).
        """
        (GY,) = multiply(self.gram.G, Y)
        residual = R.astype(np.float64) - (2.0 * GY + float(self.ridge) * Y)
        lost = (2 * len(Y) + 64) * 2.0**-53 * (self.norm * _norms(Y) + _norms(R))
        return (_norms(residual) + lost) * NORM_SLACK / self.ridge


def _norms(columns: NDArray[Any]) -> NDArray[np.float64]:
    squares = np.square(columns.astype(np.float64)).sum(axis=0)
    return np.asarray(np.sqrt(squares) + 2.0**-400)  # squares may underflow
