"""Predicts with the release being served."""

import numpy as np
from numpy.typing import NDArray

from unlearn_server.domain import Model
from unlearn_server.ingest import Ingest
from unlearn_server.keys import KeyRing
from unlearn_server.ledger.database import Database
from unlearn_server.workspace import Served, Workspaces
from unlearning.cores.core import Input, Samples


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

    def input(self, model: Model) -> Input:
        """What the model's core takes."""
        return self._workspaces.core_of(model).input

    def logits(self, served: Served, contents: Samples) -> NDArray[np.float32]:
        """The f, shape (n, C), of encoded images, texts or features (n, d - 1).

        Raises InvalidInputError, with the row, for a sample that the core cannot read.
        """
        model, objective = served.model, served.model.objective
        entries = self._ingest.entries(model, contents)
        if served.weights is None:
            return objective.f(entries, 0.0)
        if not objective.is_tangent:
            return objective.logits(entries, served.weights)
        psi = objective.psi(entries)
        jacobian = self._workspaces.linearization(model).jacobian(psi, double=False)
        return objective.f(entries, jacobian.matvec(served.weights))
