"""What a model must be, by brute force."""

from collections.abc import Sequence

import numpy as np

from unlearn.v1.model_pb2 import Model, Sample
from unlearning.commitment import weights_commitment
from unlearning.objective import Objective
from unlearning.reference import rounded_solution


class Truth:
    """What a model must hold and serve, from its description in the API and the samples alone."""

    def __init__(self, model: Model) -> None:
        w = model.user_weights
        self.step = 2.0 ** (np.ceil(np.log2(w.feature_bound)) - 14)
        self.limit = int(w.feature_bound / self.step)
        self.alpha = round(w.label_scale * 2**12)
        self.ridge = round(2 * w.ridge / self.step**2)
        self.classes = len(model.classes)
        self.objective = Objective(
            core_digest=model.core_digest,
            feature_map=w.feature_map,
            width=1 + int(model.core.partition(":")[2]),
            feature_bound=w.feature_bound,
            ridge=self.ridge,
            label_scale=self.alpha,
            classes=tuple(model.classes),
        )

    def psi(self, features: Sequence[Sequence[float]]) -> np.ndarray:
        """Lattice integers of rows of features, the constant 1 appended."""
        rows = np.array(features, np.float64).reshape(-1, self.objective.width - 1)
        rows = np.hstack([rows, np.ones((len(rows), 1))])
        return np.clip(np.rint(rows / self.step), -self.limit, self.limit).astype(np.int64)

    def weights(self, samples: Sequence[Sample]) -> np.ndarray:
        """The correctly rounded optimum, in grid units, by exact rational arithmetic."""
        t = np.zeros((len(samples), self.classes), np.int64)
        t[range(len(samples)), [sample.label for sample in samples]] = self.alpha
        psi = self.psi([sample.features.values for sample in samples])
        return rounded_solution(psi, t, self.ridge)

    def commitment(self, salt: bytes, samples: Sequence[Sample]) -> bytes:
        return weights_commitment(salt, self.objective, self.weights(samples))

    def logits(self, samples: Sequence[Sample], features: Sequence[Sequence[float]]) -> np.ndarray:
        """What the weights solved from ``samples`` say of rows of features, float64."""
        real = self.weights(samples) * 2.0**-30 * 2.0**-12 / self.step
        return self.psi(features) * self.step @ real
