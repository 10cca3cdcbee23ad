"""A linearised network whose Jacobian is small enough to be written out."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearning.objective import Objective

FEATURE = 2**14
Floats = NDArray[np.float64]


class DenseJacobian:
    """J (n, C, p), multiplied in the precision it is held in."""

    def __init__(self, J: NDArray[Any]) -> None:
        self.J = J
        self.rows, self.outputs, self.parameters = J.shape

    def matvec(self, v: Floats) -> Floats:
        return _product(self.J, v.astype(self.J.dtype))

    def rmatvec(self, u: Floats) -> Floats:
        flat = self.J.reshape(-1, self.parameters)
        return _product(flat.T, u.astype(self.J.dtype).ravel())

    def mean_kernel(self, stop: Callable[[], None]) -> Floats:
        stop()
        return np.einsum("icp,jcp->ij", self.J, self.J, dtype=np.float64) / self.outputs


def _product(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    # A BLAS kernel may compute with what lies beside a short vector, and raise a flag for it.
    with np.errstate(invalid="ignore"):
        found = (a @ b).astype(np.float64)
    assert np.isfinite(found).all() or not (np.isfinite(a).all() and np.isfinite(b).all())
    return found


class DenseNetwork:
    """J_ic = T_c psi_i for constant T (C, p, d); remembers whose Jacobians were asked for."""

    def __init__(self, T: Floats, step: float) -> None:
        self.T, self._step = T, step
        self.outputs, self.parameters, _ = T.shape
        self.asked: list[NDArray[np.int16]] = []

    def jacobian(self, psi: NDArray[np.int16], *, double: bool) -> DenseJacobian:
        self.asked.append(psi)
        J = np.einsum("cpd,nd->ncp", self.T, psi * self._step, optimize=True)
        return DenseJacobian(J if double else J.astype(np.float32))


def network(objective: Objective, parameters: int, seed: int, shared: float = 0.5) -> DenseNetwork:
    """Part of the parameters of each output are its own; the others move all outputs."""
    rng = np.random.default_rng(seed)
    C, d = len(objective.classes), objective.width
    mixed = shared * rng.normal(size=(C, parameters, d)) / np.sqrt(parameters)
    for c in range(C):
        own = slice(c * parameters // C, (c + 1) * parameters // C)
        size = own.stop - own.start
        mixed[c, own] += np.eye(size, d) + rng.normal(size=(size, d)) / np.sqrt(4 * size)
    return DenseNetwork(mixed, objective.features.step)


def samples(
    objective: Objective, n: int, decay: float, seed: int
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Lattice rows of labelled clusters whose k-th feature is of size k^-decay, and labels."""
    rng = np.random.default_rng(seed)
    C, d = len(objective.classes), objective.width
    labels = rng.integers(0, C, n)
    centres = 0.7 * rng.normal(size=(C, d))
    scales = np.arange(1.0, d + 1) ** -decay
    psi = (rng.normal(size=(n, d)) + centres[labels]) * scales / 5
    psi[:, 0] += 0.2  # a direction that all rows share
    psi[:, -1] = 1 / 5
    return np.rint(psi * FEATURE).clip(-FEATURE, FEATURE).astype(np.int16), labels
