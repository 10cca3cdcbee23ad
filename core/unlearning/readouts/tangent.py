"""A linearised network as a model under test: TANGENT, forgetting by NEWTON."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearning.linearized import Linearization
from unlearning.newton import TangentModel
from unlearning.objective import Objective
from unlearning.readouts.model import Floats, Rows
from unlearning.readouts.stored import StoredModel


class NewtonModel(StoredModel):
    """The core's own weights, moved."""

    def __init__(
        self,
        objective: Objective,
        psi: NDArray[np.int16],
        labels: NDArray[np.integer[Any]],
        is_core: NDArray[np.bool_],
        network: Linearization,
    ) -> None:
        super().__init__(objective, psi, labels, is_core)
        self._network = network

    def empty(self) -> TangentModel:
        """A model without a row."""
        return TangentModel(self.objective, self._network)

    def logits(self, rows: Rows, weights: NDArray[np.float64]) -> Floats:
        """J w."""
        return self._network.jacobian(self.psi[rows], double=False).matvec(weights)

    def kernel(self, rows: Rows, /) -> Callable[[Floats], Floats]:
        """J J', never formed."""
        J = self._network.jacobian(self.psi[rows], double=True)
        return lambda u: J.matvec(J.rmatvec(np.asarray(u, np.float64)))
