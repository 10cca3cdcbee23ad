"""Ways to forget that are put through the read-outs, and ones that only seem to forget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.unlearning.readouts.models import NotForgetting, digits
from unlearning.information import InformationBound
from unlearning.readouts.exact import ExactModel
from unlearning.readouts.model import Released, Rows, Samples
from unlearning.readouts.stored import StoredModel
from unlearning.release import NO_LEAKAGE

ROWS, CORE, TEST = 1500, 300, 297
REQUESTS = 10
REQUEST_ROWS = (ROWS - CORE) // 100
RIDGE = 10.0
STEPS = 100


@dataclass(frozen=True)
class Contender:
    """A way to forget.

    Attributes:
        name: in tables and plots.
        model: that forgets so.
        samples: what it trains on and is to forget, in so many requests.
        bound: what is claimed once so many requests were carried out.
        control: whether it must be found out, to show that the read-outs can.
        tried: numbers of requests after which it is put through the read-outs.
        shadows, pairs: worlds that attacks learn from and are tried in.
    """

    name: str
    model: StoredModel
    samples: Callable[[int], Samples]
    bound: Callable[[int], InformationBound]
    control: bool
    tried: Sequence[int]
    shadows: int
    pairs: int


class FineTuned(ExactModel):
    """Goes on from the weights of all rows by gradient descent on those that remain."""

    def unlearn(self, rows: Rows, requests: Sequence[Rows], _seed: int, /) -> Released:
        """Each step is 1 / L, L the largest curvature."""
        everything = self.fitted(np.concatenate([rows, *requests]))
        weights = self.objective.weights(everything.solve().weights)
        X = self.entries[rows] * self.objective.features.step
        H = X.T @ X + self.objective.ridge_in_real_units * np.eye(X.shape[1])
        moments, largest = X.T @ self.targets(rows), np.linalg.norm(H, 2)
        for _ in range(STEPS):
            weights = weights - (H @ weights - moments) / largest
        return lambda asked: self.objective.logits(self.entries[asked], weights)


def contenders(tried: Sequence[int], shadows: int, pairs: int) -> list[Contender]:
    """Of FEATURES, on the same digits."""
    exact = digits(ROWS, TEST, CORE, RIDGE)
    rows = (exact.objective, exact.entries, exact.labels, exact.is_core)

    def samples(requests: int) -> Samples:
        return first_users(exact, CORE, REQUEST_ROWS, requests, ROWS)

    def contender(name: str, model: ExactModel, control: bool) -> Contender:
        return Contender(name, model, samples, NO_LEAKAGE.bound, control, tried, shadows, pairs)

    return [
        contender("FEATURES, EXACT", exact, control=False),
        contender("nothing forgotten", NotForgetting(*rows), control=True),
        contender("fine-tuned", FineTuned(*rows), control=True),
    ]


def first_users(model: StoredModel, core: int, each: int, requests: int, trained: int) -> Samples:
    """Requests for so many rows each, the first users' first; tested on all rows not trained on."""
    erased = np.split(np.arange(core, core + requests * each), requests)
    test = np.arange(trained, len(model.labels))
    return Samples.of(model.labels, model.is_core, erased, test)
