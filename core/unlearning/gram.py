"""The Gram matrix G = sum psi psi', exact, as the sum of two limbs.

G = coarse + fine, where coarse holds multiples of 2^w. Rows are added to and taken from
the fine limb alone, and as a rule it is all of G: it is split where the sums of its rows'
magnitudes are so large that products in float64 would be exact for too few bits a pass
(see ``limbs``). What the limbs are depends on history, their sum does not.
"""

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from unlearning import blas

_COLUMNS = 64
"""Of a strip that stays in cache while something is done to it."""

_LARGEST_NORM = 2**48
"""Of a limb: a pass over it then multiplies integers of five bits."""

_Floats = NDArray[np.float64]


class Limb(NamedTuple):
    """Multiples of 2^shift, shape (d, d), Fortran order; above the diagonal they are void.

    ``norm`` bounds the sum of the magnitudes in any row of the symmetric matrix, in units
    of 2^shift; 0 for a limb without entries.
    """

    triangle: _Floats
    shift: int
    norm: int


class GramMatrix:
    """G of lattice rows, shape (d, d), while its entries stay below 2^53.

    Attributes:
        diagonal: of G, shape (d,), int64.
    """

    def __init__(self, width: int) -> None:
        # calloc'ed: a limb without entries costs no memory.
        self._coarse = Limb(np.zeros((width, width), order="F"), 0, 0)
        self._fine = Limb(np.zeros((width, width), order="F"), 0, 0)
        self.diagonal = np.zeros(width, np.int64)

    def __len__(self) -> int:
        return len(self.diagonal)

    def add(self, rows: _Floats) -> None:
        """Adds lattice rows (k, d), C order; the caller has checked that they fit."""
        self._update(1, rows)

    def subtract(self, rows: _Floats) -> None:
        """Takes back rows (k, d) that were added before."""
        self._update(-1, rows)

    def _update(self, sign: int, rows: _Floats) -> None:
        squares = np.einsum("ij,ij->j", rows, rows)
        # |sum psi_a psi_b| is at most the root of the product of the sums of squares.
        roots = np.sqrt(squares)
        change = ceil(float(roots.max(initial=0.0) * roots.sum()) * (1 + 2.0**-30))
        if self._coarse.norm and self._fine.norm + change >= 2**53:
            self.settle()
        blas.add_outer_product(self._fine.triangle, float(sign), rows.T)
        self._fine = self._fine._replace(norm=self._fine.norm + change)
        self.diagonal += sign * squares.astype(np.int64)

    def merge(self, other: Self) -> None:
        """Adds the rows of ``other``; the caller has checked that they fit."""
        triangle = self._fine.triangle
        triangle += self._coarse.triangle
        triangle += other.entries()
        norm = self._norm() + other._norm()
        self._coarse = Limb(np.zeros(triangle.shape, order="F"), 0, 0)
        self._fine = self._fine._replace(norm=norm)
        self.diagonal += other.diagonal

    def _norm(self) -> int:
        return (self._coarse.norm << self._coarse.shift) + self._fine.norm

    def entries(self) -> _Floats:
        """A copy of G, its lower triangle, shape (d, d), Fortran order."""
        return self._coarse.triangle + self._fine.triangle

    def strip(self, start: int, stop: int) -> _Floats:
        """Columns start to stop of G from its diagonal down, shape (d - start, stop - start)."""
        part = np.s_[start:, start:stop]
        if not self._coarse.norm:
            return self._fine.triangle[part]
        return np.asarray(self._coarse.triangle[part] + self._fine.triangle[part])

    def limbs(self) -> tuple[Limb, ...]:
        """The limbs with entries, short enough for products to be fast."""
        if self._fine.norm > _LARGEST_NORM:
            self.settle()
        return tuple(limb for limb in (self._coarse, self._fine) if limb.norm)

    def settle(self) -> None:
        """Measures G, and splits it if it is too large as a whole."""
        norm = self._measure()
        if self._coarse.norm or norm > _LARGEST_NORM:
            self._split(norm)
        else:
            self._fine = self._fine._replace(norm=norm)

    def _measure(self) -> int:
        """Bounds the sum of the magnitudes in any row of G."""
        sums = np.zeros(len(self))
        for start, stop in self._strips():
            strip = np.abs(self.strip(start, stop))
            sums[start:stop] += strip.sum(axis=0)
            sums[start:] += strip.sum(axis=1)
        return ceil(float(sums.max(initial=0.0)) * (1 + 2.0**-30))  # counts the diagonal twice

    def _split(self, norm: int) -> None:
        """Rounds G to multiples of 2^w for the coarse limb, w half the bits of an entry."""
        shift = (int(self.diagonal.max()).bit_length() + 1) // 2
        rounder = 1.5 * 2.0 ** (52 + shift)  # a sum with it has no bit below 2^shift
        for start, stop in self._strips():
            part = np.s_[start:, start:stop]
            G = self.strip(start, stop)
            high = G + rounder
            high -= rounder
            self._coarse.triangle[part] = high
            np.subtract(G, high, out=self._fine.triangle[part])
        d = len(self)
        self._coarse = Limb(self._coarse.triangle, shift, (norm >> shift) + d)
        self._fine = Limb(self._fine.triangle, 0, d << shift >> 1)

    def _strips(self) -> Iterator[tuple[int, int]]:
        for start in range(0, len(self), _COLUMNS):
            yield start, min(start + _COLUMNS, len(self))
