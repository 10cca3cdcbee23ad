"""An approximate inverse P of A = 2G + L I, kept current as rows leave.

Taking rows psi out of A leaves A - 2 psi' psi, whose inverse is P + Z Z' with

    U = P psi',   S = I/2 - psi U = K K' (Cholesky),   Z = U K^-T

(Woodbury; for one row, Sherman and Morrison), so that nothing is factored but a k x k
matrix. Z Z' is added to P when the next rows leave, or in a quiet moment before. P drifts
from the true inverse by rounding. That decides how fast a refinement converges, never
which bits it ends in.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unlearning import blas
from unlearning.errors import NotSolvableError
from unlearning.statistics import Statistics

_Floats = NDArray[np.float64]


class ApproximateInverse(Protocol):
    """Anything that maps R, shape (d, C), to about A^-1 R."""

    def solve(self, R: _Floats) -> _Floats:
        """Returns about A^-1 R, shape (d, C)."""
        ...


def factor(statistics: Statistics) -> _Floats:
    """The Cholesky factor K of A = K K', as a lower triangle in Fortran order.

    Raises NotSolvableError if A is not definite in float64.
    """
    A = statistics.G.entries()
    A *= 2.0
    A[np.diag_indices_from(A)] += statistics.ridge
    if not blas.factor(A):
        raise NotSolvableError("the Gram matrix is not positive definite in float64")
    return A


class Inverse:
    """P + Z Z', P as its lower triangle in Fortran order; holds d (d + k) float64."""

    def __init__(self, statistics: Statistics) -> None:
        """Inverts A, in place; raises NotSolvableError if it is not definite in float64."""
        self._P = factor(statistics)
        if not blas.invert_factored(self._P):
            raise NotSolvableError("the Gram matrix is not invertible in float64")
        self._Z = np.zeros((len(self._P), 0), order="F")

    def solve(self, R: _Floats) -> _Floats:
        """Returns about A^-1 R, shape (d, C)."""
        X = blas.symmetric_product(self._P, R)
        if self._Z.size:
            blas.add_product(X, 1.0, self._Z, blas.product(self._Z.T, R))
        return X

    def remove(self, psi: _Floats, errors: _Floats) -> _Floats:
        """Follows A as rows psi (k, d), C order, leave it.

        Returns U S^-1 errors, shape (d, C), of ``errors`` (k, C); raises NotSolvableError
        if the rows cannot leave.
        """
        self.settle()
        U = self.solve(psi.T)
        K = 0.5 * np.eye(len(psi), order="F") - blas.product(psi, U)
        if not blas.factor(K):
            raise NotSolvableError("the approximate inverse is too far from A^-1 to follow it")
        self._Z = blas.solve_factored_from_right(U, K)
        return blas.product(self._Z, blas.solve_factored(K, errors))

    def settle(self) -> None:
        """Adds what is kept of the rows that left last to P."""
        if self._Z.size:
            blas.add_outer_product(self._P, 1.0, self._Z)
            self._Z = self._Z[:, :0]
