"""Generated features: class centres and noise, as float32 rows like a network's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unlearning.cores import load
from unlearning.objective import DEFAULT_LABEL_SCALE, Objective


@dataclass(frozen=True)
class Data:
    """Features (n, d - 1) without the constant, and labels (n,)."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    objective: Objective

    @property
    def psi(self) -> NDArray[np.int16]:
        """The lattice rows (n, d), as they are stored."""
        rows = np.ones((len(self.features), self.objective.width), np.float32)
        rows[:, :-1] = self.features
        return self.objective.features.round(rows).astype(np.int16)


def generate(n: int, d: int, classes: int) -> Data:
    """Seeded data of width d, counting the constant."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, n)
    centres = rng.normal(0, 0.5, (classes, d - 1)).astype(np.float32)
    noise = rng.standard_normal((n, d - 1), np.float32)
    core = load(f"features:{d - 1}")
    objective = Objective.create(
        core_digest=core.digest,
        feature_map=core.feature_map,
        width=d,
        feature_bound=core.feature_bound,
        ridge=core.ridge,
        label_scale=DEFAULT_LABEL_SCALE,
        classes=tuple(f"class {i}" for i in range(classes)),
    )
    return Data(centres[labels] + noise, labels, objective)
