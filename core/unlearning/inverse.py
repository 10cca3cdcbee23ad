"""An approximate inverse P of A = 2G + L I, kept current as rows leave.

Taking rows psi out of A leaves A - 2 psi' psi, whose inverse is P + Z Z' with

    U = P psi',   S = I/2 - psi U = K K' (Cholesky),   Z = U K^-T

(Woodbury), so that nothing is factored but a k x k matrix. New columns of Z wait in a
queue, and a pass over P folds many of them in at once. P drifts from the true inverse
by rounding. That decides how fast a refinement converges, never which bits it ends in.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from unlearning.errors import NotSolvableError
from unlearning.statistics import Statistics
from unlearning.triangle import multiply

_QUEUE = 32


class ApproximateInverse(Protocol):
    """Anything that maps R, shape (d, C), to about A^-1 R."""

    def solve(self, R: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns about A^-1 R, shape (d, C)."""
        ...


class Inverse:
    """P and its queue; holds d^2 float64."""

    def __init__(self, statistics: Statistics) -> None:
        """Factors A, in place; raises NotSolvableError if it is not definite in float64."""
        A = 2.0 * statistics.G
        A[np.diag_indices_from(A)] += statistics.ridge
        factor, indefinite = lapack.dpotrf(A, lower=1, clean=0, overwrite_a=1)
        P, singular = lapack.dpotri(factor, lower=1, overwrite_c=1)
        if indefinite or singular:
            raise NotSolvableError("the Gram matrix is not positive definite in float64")
        self._P = P
        self._Z = np.zeros((len(P), _QUEUE), order="F")
        self._waiting = 0

    def solve(self, R: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns about A^-1 R, shape (d, C)."""
        (X,) = multiply(self._P, R)
        if self._waiting:
            Z = self._Z[:, : self._waiting]
            X += blas.dgemm(1.0, Z, blas.dgemm(1.0, Z, R, trans_a=1))
        return np.asarray(X)

    def remove(self, psi: NDArray[np.float64]) -> None:
        """Follows A as rows psi (k, d) leave it; raises NotSolvableError if it cannot."""
        U = self.solve(psi.T)
        S = 0.5 * np.eye(len(psi)) - blas.dgemm(1.0, psi.T, U, trans_a=1)
        K, info = lapack.dpotrf(S, lower=1)
        if info != 0:
            raise NotSolvableError("the approximate inverse is too far from A^-1 to follow it")
        # Z' = K^-1 U'
        self._enqueue(blas.dtrsm(1.0, K, U, side=1, lower=1, trans_a=1))

    def _enqueue(self, Z: NDArray[np.float64]) -> None:
        if self._waiting + Z.shape[1] > _QUEUE:
            self._fold(self._Z[:, : self._waiting])
            self._waiting = 0
        if Z.shape[1] > _QUEUE:
            self._fold(Z)
            return
        self._Z[:, self._waiting : self._waiting + Z.shape[1]] = Z
        self._waiting += Z.shape[1]

    def _fold(self, Z: NDArray[np.float64]) -> None:
        blas.dsyrk(1.0, Z, 1.0, self._P, lower=1, overwrite_c=1)
