"""Predicts with the release being served."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unlearn_server.domain import Model
from unlearn_server.ingest import Ingest
from unlearn_server.keys import KeyRing
from unlearn_server.ledger.database import Database
from unlearn_server.workspace import Served, Workspaces


class Predictor:
    """Reads immutable releases; never waits for an erasure."""

    def __init__(
        self, database: Database, keys: KeyRing, workspaces: Workspaces, ingest: Ingest
    ) -> None:
        self._database = database
        self._keys = keys
        self._workspaces = workspaces
        self._ingest = ingest

    def served(self, model_id: str) -> Served:
        """The release that answers now; raises MODEL_NOT_FOUND."""
        return self._workspaces.get(model_id).served(self._database, model_id, self._keys)

    def input(self, model: Model) -> Literal["image", "features"]:
        """What the model's core takes."""
        return self._workspaces.core_of(model).input

    def logits(
        self, served: Served, contents: Sequence[bytes] | NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """W' psi or J w, shape (n, C), of encoded images or of features (n, d - 1).

        Raises InvalidInputError, with the row, for a sample that the core cannot read.
        """
        model = served.model
        psi = self._ingest.features(model, contents)
        if served.weights is None:
            return np.zeros((len(psi), len(model.objective.classes)), np.float32)
        if not model.objective.is_tangent:
            return model.objective.logits(psi, served.weights)
        jacobian = self._workspaces.linearization(model).jacobian(psi, double=False)
        return jacobian.matvec(served.weights).astype(np.float32)
