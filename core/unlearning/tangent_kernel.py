r"""The tangent kernel of some rows, and a preconditioner for its systems.

    K = J J',   (K + lam I) a = t,   w = J'a

(Jacot et al., Neural Tangent Kernel, NeurIPS 2018.) By the representer theorem this w is the
minimiser of the ridge problem, found with one unknown for each row and output instead of one
for each weight: H J' = J'(K + lam I), so that g(w) = -J' r for the residual r = t - (K + lam I) a.

A classifier of random signs gives every output a mixture of its own of many units. The more
units, the more alike are the outputs' kernels, and the less one output's tells of another's
(section 3 there): K is near Kbar (x) I, where Kbar is the mean of the outputs' kernels. So

    M^-1 = (Kbar + lam I)^-1 (x) I

is a preconditioner of a size of n x n. It is a function of the rows that are solved for alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from unlearning.linearized import Jacobian

_Floats = NDArray[np.float64]

_ROUNDING = 2.0**-22
"""Of the trace: what float32 may leave of Kbar's smallest eigenvalues."""


@dataclass(frozen=True)
class Kernel:
    """K + lam I, of shape (n C, n C), never formed.

    Attributes:
        jacobian: J.
        ridge: lam, in real units.
    """

    jacobian: Jacobian
    ridge: float

    def times(self, a: _Floats) -> _Floats:
        """(K + lam I) a, shape (n C,)."""
        J = self.jacobian
        u = a.reshape(J.rows, J.outputs)
        return (J.matvec(J.rmatvec(u)) + self.ridge * u).ravel()


class MeanKernel:
    """Kbar of rows known by their digests, so that it need not be computed again for fewer."""

    def __init__(self, digests: Sequence[bytes], values: _Floats) -> None:
        """Takes Kbar, shape (n, n), of rows in the order of ``digests``."""
        self._index = {digest: i for i, digest in enumerate(digests)}
        self._values = values

    def covers(self, digests: Sequence[bytes]) -> bool:
        """Whether all of these rows are among its own."""
        return self._index.keys() >= set(digests)

    def among(self, digests: Sequence[bytes]) -> "MeanKernel":
        """That of some of its rows; nothing of the others is left in it."""
        chosen = [self._index[digest] for digest in digests]
        return MeanKernel(digests, self._values[np.ix_(chosen, chosen)])

    def preconditioner(self, ridge: float) -> "KernelPreconditioner":
        """M^-1 at a ridge in real units."""
        return KernelPreconditioner(self._values, ridge)


class KernelPreconditioner:
    """M^-1, symmetric and positive definite."""

    def __init__(self, values: _Floats, ridge: float) -> None:
        """Factors Kbar + lam I."""
        shift = ridge + _ROUNDING * np.trace(values)
        self._factor = cho_factor(values + shift * np.eye(len(values)), overwrite_a=True)
        self._rows = len(values)

    def solve(self, r: _Floats) -> _Floats:
        """M^-1 r, shape (n C,)."""
        columns = r.reshape(self._rows, -1)
        return np.asarray(cho_solve(self._factor, columns, check_finite=False)).ravel()
