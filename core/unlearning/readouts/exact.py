"""The exact engine as a model under test: FEATURES, forgetting by EXACT."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from unlearning.forgetting import MixedPrivacyModel
from unlearning.readouts.model import Floats, Rows
from unlearning.readouts.stored import StoredModel


class ExactModel(StoredModel):
    """Weights of features."""

    def empty(self) -> MixedPrivacyModel:
        """A model without a row."""
        return MixedPrivacyModel(self.objective)

    def logits(self, rows: Rows, weights: NDArray[np.float64]) -> Floats:
        """The core's and W' psi."""
        return self.objective.logits(self.entries[rows], weights)

    def kernel(self, rows: Rows, /) -> Callable[[Floats], Floats]:
        """Every class has the Gram matrix of the rows."""
        X = self.objective.psi(self.entries[rows]) * self.objective.features.step

        def product(u: Floats) -> Floats:
            return np.asarray(X @ (X.T @ u))

        return product

    def fitted(self, rows: Rows) -> MixedPrivacyModel:
        """A model of these rows; nothing is solved yet."""
        model = self.empty()
        model.add(self.entries[rows], self.labels[rows], self.is_core[rows])
        return model
