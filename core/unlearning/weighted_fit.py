"""Ridge regression on weighted rows in float64, unrounded: W = A^-1 B.

    A = sum_i a_i psi_i psi_i' + lam I,   B = sum_i a_i psi_i t_i'

In a model every weight a_i is 1, and A and B are its statistics. W is not the weights that
are released: those are rounded to a grid, which moves a residual by up to 1e-4 of a target.
Float64 loses about the condition number of A times 2^-53.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unlearning import blas
from unlearning.errors import NotSolvableError
from unlearning.lattice import TARGETS
from unlearning.statistics import Statistics

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Some rows, in which a group that has a row has all of its rows.

    Attributes:
        psi: shape (k, d), in any unit, such as the lattice's.
        t: targets alpha * onehot(y) - f_c in real units, shape (k, C), float64.
        groups: which are left out together, shape (k,).
        weights: a, at least 0, shape (k,); 0 for a row that might be added.
        counts: whether an objective sums over the row, shape (k,).
    """

    psi: NDArray[np.number[Any]]
    t: _Floats
    groups: NDArray[np.int64]
    weights: _Floats
    counts: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.t)

    @cached_property
    def in_float64(self) -> _Floats:
        """The same psi, in C order."""
        return np.ascontiguousarray(self.psi, np.float64)

    def __getitem__(self, chosen: slice | NDArray[Any]) -> Self:
        return type(self)(
            self.psi[chosen],
            self.t[chosen],
            self.groups[chosen],
            self.weights[chosen],
            self.counts[chosen],
        )


@dataclass(frozen=True)
class WeightedFit:
    """The fit of some rows.

    Attributes:
        A: its lower triangle, shape (d, d), Fortran order.
        B: shape (d, C), Fortran order.
        whitening: the inverse K^-1 of the Cholesky factor of A = K K', a lower triangle (d, d).
        W: shape (d, C), which maps psi in its unit to logits in real units.
    """

    A: _Floats
    B: _Floats
    whitening: _Floats
    W: _Floats

    @classmethod
    def of(cls, A: _Floats, B: _Floats) -> Self:
        """Factors A and solves; raises NotSolvableError if A is not definite in float64."""
        K = A.copy(order="F")
        if not (blas.factor(K) and blas.invert_triangle(K)):
            raise NotSolvableError("the Gram matrix is not positive definite in float64")
        return cls(A, B, K, _solve(K, B))

    @classmethod
    def of_statistics(cls, statistics: Statistics) -> Self:
        """The fit of all rows of a model, whose psi are on the lattice; raises as ``of``."""
        A = statistics.G.entries()
        A[np.diag_indices_from(A)] += statistics.ridge / 2
        return cls.of(A, statistics.B * TARGETS.step)

    @classmethod
    def of_rows(cls, blocks: Iterable[Rows], ridge: float) -> Self:
        """The fit of at least one block of rows under lam > 0; raises as ``of``."""
        A = B = np.zeros(())
        for rows in blocks:
            if not A.ndim:
                (d, C) = rows.psi.shape[1], rows.t.shape[1]
                A, B = np.asfortranarray(ridge * np.eye(d)), np.zeros((d, C), order="F")
            _add(A, B, 1.0, rows)
        return cls.of(A, B)

    def without(self, rows: Rows) -> Self:
        """The fit of the other rows; raises as ``of``. Exact in A where that holds integers."""
        A, B = self.A.copy(order="F"), self.B.copy(order="F")
        _add(A, B, -1.0, rows)
        return self.of(A, B)

    def residuals(self, rows: Rows) -> _Floats:
        """The residuals t - W' psi, shape (k, C)."""
        return np.asarray(rows.t - blas.product(rows.in_float64, self.W))

    def whiten(self, psi: _Floats) -> _Floats:
        """U = K^-1 psi', shape (d, k), so that psi A^-1 psi' = U'U."""
        return blas.triangle_product(self.whitening, psi.T)

    def solve(self, R: _Floats) -> _Floats:
        """A^-1 R, shape (d, C)."""
        return _solve(self.whitening, R)


def _solve(whitening: _Floats, R: _Floats) -> _Floats:
    half = blas.triangle_product(whitening, R)
    return blas.triangle_product(whitening, half, transpose=True)


def _add(A: _Floats, B: _Floats, sign: float, rows: Rows) -> None:
    psi = rows.in_float64
    blas.add_outer_product(A, sign, (psi * np.sqrt(rows.weights)[:, None]).T)
    blas.add_product(B, sign, psi.T, rows.weights[:, None] * rows.t)
