"""Ways to forget that are put through the read-outs, and ones that only seem to forget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.unlearning.readouts.models import NotForgetting, digits
from unlearning.information import InformationBound
from unlearning.readouts.exact import ExactModel
from unlearning.readouts.model import Released, Rows
from unlearning.release import NO_LEAKAGE

ROWS, CORE, TEST = 1500, 300, 297
RIDGE = 10.0
STEPS = 100


@dataclass(frozen=True)
class Contender:
    """A way to forget.

    Attributes:
        name: in tables and plots.
        model: that forgets so.
        bound: what is claimed once so many requests were carried out.
        control: whether it must be found out, to show that the read-outs can.
    """

    name: str
    model: ExactModel
    bound: Callable[[int], InformationBound]
    control: bool


class FineTuned(ExactModel):
    """Goes on from the weights of all rows by gradient descent on those that remain."""

    def unlearn(self, rows: Rows, requests: Sequence[Rows], _seed: int, /) -> Released:
        """Each step is 1 / L, L the largest curvature."""
        everything = self.fitted(np.concatenate([rows, *requests]))
        weights = self.objective.weights(everything.solve().weights)
        X = self.psi[rows] * self.objective.features.step
        H = X.T @ X + self.objective.ridge_in_real_units * np.eye(X.shape[1])
        moments, largest = X.T @ self.targets(rows), np.linalg.norm(H, 2)
        for _ in range(STEPS):
            weights = weights - (H @ weights - moments) / largest
        return lambda asked: self.objective.logits(self.psi[asked], weights)


def contenders() -> list[Contender]:
    """All of them, on the same digits."""
    exact = digits(ROWS, TEST, CORE, RIDGE)
    rows = (exact.objective, exact.psi, exact.labels, exact.is_core)
    return [
        Contender("FEATURES, EXACT", exact, NO_LEAKAGE.bound, control=False),
        Contender("nothing forgotten", NotForgetting(*rows), NO_LEAKAGE.bound, control=True),
        Contender("fine-tuned", FineTuned(*rows), NO_LEAKAGE.bound, control=True),
    ]
