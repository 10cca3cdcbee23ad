"""A linearised network as a model under test: TANGENT, forgetting by NEWTON."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearning.linearized import Jacobian, Linearization
from unlearning.newton import TangentModel
from unlearning.objective import Objective
from unlearning.readouts.model import Floats, Rows
from unlearning.readouts.stored import StoredModel


class NewtonModel(StoredModel):
    """The core's own weights, moved."""

    def __init__(
        self,
        objective: Objective,
        entries: NDArray[np.int16],
        labels: NDArray[np.integer[Any]],
        is_core: NDArray[np.bool_],
        network: Linearization,
    ) -> None:
        super().__init__(objective, entries, labels, is_core)
        self._network = network

    def empty(self) -> TangentModel:
        """A model without a row."""
        return TangentModel(self.objective, self._network)

    def logits(self, rows: Rows, weights: NDArray[np.float64]) -> Floats:
        """The core's and J w."""
        change = self._jacobian(rows, double=False).matvec(weights)
        return self.objective.f(self.entries[rows], change)

    def kernel(self, rows: Rows, /) -> Callable[[Floats], Floats]:
        """J J', never formed."""
        J = self._jacobian(rows, double=True)
        return lambda u: J.matvec(J.rmatvec(np.asarray(u, np.float64)))

    def _jacobian(self, rows: Rows, *, double: bool) -> Jacobian:
        return self._network.jacobian(self.objective.psi(self.entries[rows]), double=double)
