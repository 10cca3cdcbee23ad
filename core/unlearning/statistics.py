"""The exact sufficient statistics n, G = sum psi psi', B = sum psi t'.

They are sums of integers held in float64. While every partial sum stays below 2^53
none is ever rounded, so G - psi psi' has the bits of a history without that row.
For G the largest diagonal entry bounds all partial sums, and for B it is
sqrt(G_aa sum_i t_ic^2), both by Cauchy-Schwarz.
"""

from collections.abc import Iterator
from math import isqrt
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unlearning import blas
from unlearning.errors import CapacityError
from unlearning.gram import GramMatrix
from unlearning.objective import GRID_BITS, Objective

ROWS_AT_ONCE = 1024
"""Bounds the float64 copy of a block of rows."""

_Rows = NDArray[np.integer[Any]]


class Statistics:
    """n, G, B of lattice rows, with the ridge L they will be solved under.

    Attributes:
        ridge: L, odd, in lattice units.
        n: number of rows.
        G: the Gram matrix.
        B: shape (d, C), float64, Fortran order.
        target_squares: sum of t^2, shape (C,), int64.
    """

    def __init__(self, width: int, classes: int, ridge: int) -> None:
        self.ridge = ridge
        self.n = 0
        self.G = GramMatrix(width)
        self.B = np.zeros((width, classes), order="F")
        self.target_squares = np.zeros(classes, np.int64)

    @classmethod
    def empty(cls, objective: Objective) -> Self:
        """The statistics of no rows."""
        return cls(objective.width, len(objective.classes), objective.ridge)

    def add(self, psi: _Rows, t: _Rows) -> None:
        """Adds lattice rows psi (n, d) with targets t (n, C).

        Raises CapacityError, before anything is changed, if not all of them fit.
        """
        self.check_capacity(psi, t)
        self._update(1.0, psi, t)

    def subtract(self, psi: _Rows, t: _Rows) -> None:
        """Takes back rows that were added before."""
        self._update(-1.0, psi, t)

    def merge(self, other: Self) -> None:
        """Adds the rows of ``other``; the caller has checked that they fit."""
        self.G.merge(other.G)
        self.B += other.B
        self.target_squares += other.target_squares
        self.n += other.n

    def copy(self) -> Self:
        """Statistics that change on their own."""
        twin = type(self)(*self.B.shape, self.ridge)
        twin.merge(self)
        return twin

    def check_capacity(self, psi: _Rows, t: _Rows) -> None:
        """Raises CapacityError, with the number that still fits, unless all rows fit."""
        limit = self._limit_reached(psi, t)
        if limit is None:
            return
        fits, beyond = 0, len(psi)
        while beyond - fits > 1:
            middle = (fits + beyond) // 2
            if self._limit_reached(psi[:middle], t[:middle]) is None:
                fits = middle
            else:
                beyond = middle
        raise CapacityError(fits, limit)

    def _update(self, sign: float, psi: _Rows, t: _Rows) -> None:
        for rows, targets in _blocks(psi, t):
            (self.G.add if sign > 0 else self.G.subtract)(rows)
            blas.add_product(self.B, sign, rows.T, targets)
        self.target_squares += int(sign) * np.square(t, dtype=np.int64).sum(axis=0)
        self.n += int(sign) * len(psi)

    def _limit_reached(self, psi: _Rows, t: _Rows) -> str | None:
        diagonal = self.G.diagonal + np.einsum("ij,ij->j", psi, psi, dtype=np.int64)
        trace, largest = sum(map(int, diagonal)), int(diagonal.max())
        target_squares = int((self.target_squares + np.square(t, dtype=np.int64).sum(axis=0)).max())
        norm = 2 * trace + self.ridge  # bounds ||A||_2
        if largest >= 2**53 or largest * target_squares >= 2**106:
            return "beyond them float64 would round the statistics"
        if norm > self.ridge << 40:
            return "beyond them the ridge is below 2^-40 of the Gram matrix: use a larger ridge"
        if norm * (isqrt(len(diagonal)) + 1) >= 2**62:
            return "beyond them the residual leaves 64 bits"
        # L/2 ||w_c||^2 <= 1/2 sum t_c^2 at the optimum: weights stay exact in float64.
        if target_squares << (2 * GRID_BITS + 1) >= self.ridge << 104:
            return "beyond them the weights could leave 53 bits: use a larger ridge"
        return None


def _blocks(psi: _Rows, t: _Rows) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Float64 copies of at most ROWS_AT_ONCE rows: psi in C order, t in Fortran order."""
    for start in range(0, len(psi), ROWS_AT_ONCE):
        block = slice(start, start + ROWS_AT_ONCE)
        yield psi[block].astype(np.float64, order="C"), t[block].astype(np.float64, order="F")
