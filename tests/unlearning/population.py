"""Rows of which some are held by a model, next to a model of those alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearning.forgetting import MixedPrivacyModel
from unlearning.objective import Objective

FEATURE = 2**14
SALT = bytes(range(32))


class Population:
    """Rows of which some are held by a model, and the model."""

    def __init__(self, objective: Objective, n: int, seed: int, core: int = 0) -> None:
        """Features that are told apart by an eighth of their size: A is ill-conditioned."""
        self.rng = np.random.default_rng(seed)
        d, classes = objective.width, len(objective.classes)
        common = self.rng.uniform(-1, 1, (n, max(1, d // 4))) @ self.rng.uniform(
            -1, 1, (max(1, d // 4), d)
        )
        psi = common / np.abs(common).max() * 0.875 + self.rng.uniform(-0.125, 0.125, (n, d))
        self.psi = np.rint(psi * FEATURE).astype(np.int16)
        self.labels = self.rng.integers(0, classes, n)
        self.is_core = np.arange(n) < core
        self.held = np.zeros(n, bool)
        self.model = MixedPrivacyModel(objective)

    def add(self, rows: Any) -> None:
        self.model.add(self.psi[rows], self.labels[rows], self.is_core[rows])
        self.held[rows] = True

    def erase(self, rows: Any) -> None:
        self.model.erase(self.psi[rows], self.labels[rows])
        self.held[rows] = False

    def some(self, k: int) -> NDArray[np.intp]:
        """User rows that are held, at random."""
        return self.rng.choice(np.flatnonzero(self.held & ~self.is_core), k, replace=False)

    def fresh(self) -> MixedPrivacyModel:
        """A model that was only ever given the rows held, in another order."""
        model = MixedPrivacyModel(self.model.objective)
        held = np.flatnonzero(self.held)[::-1]
        model.add(self.psi[held], self.labels[held], self.is_core[held])
        return model

    def compare(self) -> None:
        """That the model's bits are those of a fresh one; hashes them beside the solve."""
        commit, fresh = self.model.begin_commitment(), self.fresh()
        ours, theirs = self.model.solve(), fresh.solve()
        assert (ours.weights == theirs.weights).all()
        assert (ours.residual == theirs.residual).all()
        assert ours.report(fresh.objective) == theirs.report(fresh.objective)
        assert commit(SALT) == fresh.state_commitment(SALT)
