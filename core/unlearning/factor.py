"""An approximate inverse of A = 2G + L I: factor once, solve many.

Its accuracy decides how fast a refinement converges, never which bits it ends in.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from unlearning.errors import NotSolvableError
from unlearning.statistics import Statistics


class ApproximateInverse(Protocol):
    """Anything that maps R, shape (d, C), to about A^-1 R."""

    def solve(self, R: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns about A^-1 R, shape (d, C)."""
        ...


class Cholesky:
    """The Cholesky factor of A in float64; holds d^2 float64."""

    def __init__(self, statistics: Statistics) -> None:
        A = 2.0 * statistics.G
        A[np.diag_indices_from(A)] += statistics.ridge
        self._factor, info = lapack.dpotrf(A, lower=1, clean=0, overwrite_a=1)
        if info != 0:
            raise NotSolvableError("the Gram matrix is not positive definite in float64")

    def solve(self, R: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns A^-1 R up to rounding, shape (d, C)."""
        X, _ = lapack.dpotrs(self._factor, R, lower=1)
        return np.asarray(X)
