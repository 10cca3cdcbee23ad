"""Few digits, as a TANGENT model of the core's head sees them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.datasets import Dataset, Indices
from unlearning.cores import Core
from unlearning.forgetting import MixedPrivacyModel
from unlearning.lattice import TARGETS
from unlearning.linearized import Floats, Jacobian
from unlearning.newton import TangentModel
from unlearning.objective import DEFAULT_LABEL_SCALE, Objective
from unlearning.ridge import RidgeProblem

SCOPE = "head"

Rows = NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Task:
    """The first rows of a data set's two parts.

    Attributes:
        rows, core_rows, test_rows: how many; the first ``core_rows`` to train on are CORE.
    """

    core: Core
    dataset: Dataset
    rows: int
    core_rows: int
    test_rows: int

    @property
    def train(self) -> Indices:
        """Indices of the rows to train on."""
        return self.dataset.train[: self.rows]

    @property
    def test(self) -> Indices:
        """Indices of the rows to test on."""
        return self.dataset.test[: self.test_rows]

    @property
    def labels(self) -> Indices:
        """Of the rows to train on."""
        return self.dataset.labels[self.train]

    @property
    def is_core(self) -> NDArray[np.bool_]:
        """Which rows to train on are CORE."""
        return np.arange(self.rows) < self.core_rows

    def psi(self, objective: Objective, indices: Indices) -> Rows:
        """Lattice rows, shape (n, d)."""
        encoded = [self.dataset.encoded[i] for i in indices]
        features = self.core.extract(objective.feature_map, encoded)
        return objective.features.round(features).astype(np.int16)

    def accuracy(self, logits: NDArray[np.floating]) -> float:
        """Of logits of the rows to test on, shape (n, C)."""
        return float((logits.argmax(1) == self.dataset.labels[self.test]).mean())

    def features_accuracy(self, feature_map: str) -> float:
        """Test accuracy of a FEATURES model of a map, with the core's ridge for those."""
        objective = self.objective(self.core.resolve(feature_map), self.core.ridge)
        model = MixedPrivacyModel(objective)
        model.add(self.psi(objective, self.train), self.labels, self.is_core)
        weights = objective.weights(model.solve().weights)
        return self.accuracy(objective.logits(self.psi(objective, self.test), weights))

    def objective(self, feature_map: str, ridge: float, scope: str = "") -> Objective:
        """What is minimised."""
        return Objective.create(
            core_digest=self.core.digest,
            feature_map=feature_map,
            width=self.core.width(feature_map),
            feature_bound=self.core.feature_bound,
            ridge=ridge,
            label_scale=DEFAULT_LABEL_SCALE,
            classes=self.dataset.classes,
            tangent_scope=scope,
        )


class Tangent:
    """A task at one ridge, with the weights of one scope.

    Attributes:
        psi: the rows to train on, shape (n, d).
        lam: the ridge, in real units.
    """

    def __init__(self, task: Task, ridge: float, scope: str = SCOPE) -> None:
        self.task, self.ridge, self.scope = task, ridge, scope
        self.objective = task.objective(task.core.entrance(scope), ridge, scope)
        self.lam = self.objective.ridge_in_real_units
        self.network = task.core.linearize(
            scope, len(task.dataset.classes), self.objective.features.step
        )
        self.psi = task.psi(self.objective, task.train)

    @cached_property
    def test_psi(self) -> Rows:
        """The rows to test on, shape (n, d)."""
        return self.task.psi(self.objective, self.task.test)

    @cached_property
    def test_jacobian(self) -> Jacobian:
        """J of the rows to test on."""
        return self.network.jacobian(self.test_psi, double=False)

    def accuracy(self, w: Floats) -> float:
        """Test accuracy of weights, shape (p,)."""
        return self.task.accuracy(self.test_jacobian.matvec(w))

    def problem(self) -> RidgeProblem:
        """Of the rows to train on."""
        t = self.objective.targets(self.task.labels) * np.float64(TARGETS.step)
        return RidgeProblem.of(self.network, self.psi, t, self.lam)

    def model(self) -> TangentModel:
        """Holds the rows to train on."""
        model = TangentModel(self.objective, self.network)
        model.add(self.psi, self.task.labels, self.task.is_core)
        return model
