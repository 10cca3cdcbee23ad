"""The exact engine as a model under test: FEATURES, forgetting by EXACT."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearning.forgetting import MixedPrivacyModel
from unlearning.lattice import TARGETS
from unlearning.objective import Objective
from unlearning.readouts.model import Floats, Released, Rows
from unlearning.statistics import ROWS_AT_ONCE


class ExactModel:
    """Trains on stored rows and takes them out again; without noise.

    Attributes:
        objective: what is minimised.
        psi: lattice rows of all samples, shape (n, d).
        labels: their class indices, shape (n,).
        is_core: which of them no request can name, shape (n,).
    """

    def __init__(
        self,
        objective: Objective,
        psi: NDArray[np.int16],
        labels: NDArray[np.integer[Any]],
        is_core: NDArray[np.bool_],
    ) -> None:
        self.objective = objective
        self.psi = psi
        self.labels = labels
        self.is_core = is_core

    def train(self, rows: Rows, _seed: int, /) -> Released:
        """Raises CapacityError if the engine holds fewer rows exactly."""
        return self.release(self.fitted(rows))

    def unlearn(self, rows: Rows, requests: Sequence[Rows], _seed: int, /) -> Released:
        """Raises CapacityError if the engine holds fewer rows exactly."""
        model = self.fitted(np.concatenate([rows, *requests]))
        for request in requests:
            model.solve()  # what the next one starts from
            model.erase(self.psi[request], self.labels[request])
        return self.release(model)

    def targets(self, rows: Rows, /) -> Floats:
        """In real units."""
        return self.objective.targets(self.labels[rows]) * TARGETS.step

    def kernel(self, rows: Rows, /) -> Callable[[Floats], Floats]:
        """Every class has the Gram matrix of the rows."""
        X = self.psi[rows] * self.objective.features.step

        def product(u: Floats) -> Floats:
            return np.asarray(X @ (X.T @ u))

        return product

    def fitted(self, rows: Rows) -> MixedPrivacyModel:
        """A model of these rows; nothing is solved yet."""
        model = MixedPrivacyModel(self.objective)
        model.add(self.psi[rows], self.labels[rows], self.is_core[rows])
        return model

    def release(self, model: MixedPrivacyModel) -> Released:
        """What its weights say, computed for a block of rows at a time."""
        weights = self.objective.weights(model.solve().weights)

        def logits(rows: Rows) -> Floats:
            blocks = range(0, len(rows), ROWS_AT_ONCE)
            return np.concatenate(
                [
                    self.objective.logits(self.psi[rows[start : start + ROWS_AT_ONCE]], weights)
                    for start in blocks
                ]
            )

        return logits
