"""Rows to add, and weights to change, chosen by the derivative."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.derivative.detection import CALIBRATED, OWN, calibrated_ridge
from tests.benchmarks.derivative.fits import Floats, Labels, Noisy, Test, Weighted, noisy
from unlearning.reweighting import descend

DRAWS = 10
STEPS = 3
AT_A_TIME = 25
EXTENSIONS = (25, 50, 100, 200, 400)


@dataclass(frozen=True)
class Extension:
    """A small set, to which k rows of a pool are added."""

    rows: int
    pool: int
    before: Test
    by_derivative: dict[int, Test]
    uniform: dict[int, list[Test]]

    def is_better(self, k: int) -> bool:
        """Than uniform choice on average."""
        return self.by_derivative[k].loss < Test.mean(self.uniform[k]).loss


@dataclass(frozen=True)
class Reweighting:
    """Tests after 0, 1, ... steps, by the ridge that derivatives are taken under."""

    rows: int
    tested: int
    tests: Mapping[str, Sequence[Test]]

    def is_kept(self, name: str) -> bool:
        """Whether no step raised the test error by more than its standard error."""
        before, *after = (test.error for test in self.tests[name])
        noise = np.sqrt(before * (1 - before) / self.tested)
        return bool(max(after) <= before + noise)


@dataclass(frozen=True)
class Split:
    """Rows to learn from, to validate on and to test on, as indices."""

    base: Labels
    pool: Labels
    validation: Labels
    test: Labels

    @classmethod
    def of(cls, n: int, base: int, validation: int, test: int) -> "Split":
        order = np.random.default_rng(0).permutation(n)
        ends = np.cumsum([base, validation, test])
        parts = np.split(order, ends)
        return cls(parts[0], parts[3], parts[1], parts[2])


def extension(
    X: Floats, labels: Labels, classes: int, ridge: float, split: Split, part: float
) -> Extension:
    """Chooses by the derivative of the validation error; a part of the pool's labels is wrong.

    So many at a time, with the derivative taken anew: the best of a pool are alike.
    """
    rng = np.random.default_rng(2)
    seen = labels.copy()
    seen[split.pool] = noisy(labels[split.pool], part, classes, rng)
    asked = np.concatenate([split.base, split.pool, split.validation])
    sizes = [len(split.base), len(split.pool), len(split.validation)]
    weights, counts = np.repeat([1.0, 0.0, 0.0], sizes), np.repeat([False, False, True], sizes)
    rows = Weighted(X[asked], seen[asked], weights, counts, classes)
    in_pool, best = slice(sizes[0], sizes[0] + sizes[1]), np.zeros(0, np.int64)
    while len(best) < EXTENSIONS[-1]:
        values = rows.validation_derivatives(ridge)[in_pool]
        values[best] = np.inf
        best = np.concatenate([best, np.argsort(values)[:AT_A_TIME]])
        weights = rows.weights.copy()
        weights[in_pool][best] = 1.0
        rows = rows.weighing(weights)

    def tested(added: Labels) -> Test:
        chosen = np.concatenate([split.base, added])
        fitted = Weighted.of(X[chosen], seen[chosen], classes)
        return fitted.test(ridge, X[split.test], labels[split.test])

    uniform = {
        k: [tested(rng.choice(split.pool, k, replace=False)) for _ in range(DRAWS)]
        for k in EXTENSIONS
    }
    derived = {k: tested(split.pool[best[:k]]) for k in EXTENSIONS}
    return Extension(sizes[0], sizes[1], tested(split.base[:0]), derived, uniform)


def reweighting(
    X: Floats, labels: Labels, classes: int, ridge: float, split: Split, part: float
) -> Reweighting:
    """Moves weights down the gradient of the leave-one-out error; a part of the labels is wrong."""
    learned = np.concatenate([split.base, split.pool, split.validation])
    noisy_rows = Noisy.of(X[learned], labels[learned], classes, part, seed=3)
    tests = {}
    derivatives = noisy_rows.seen_as_right.derivatives
    calibrated = calibrated_ridge(derivatives, noisy_rows.is_core, ridge)
    for name, lam in ((OWN, ridge), (CALIBRATED, calibrated)):
        rows = noisy_rows.seen_as_right
        tests[name] = [rows.test(ridge, X[split.test], labels[split.test])]
        for _ in range(STEPS):
            rows = rows.weighing(descend(rows.weights, rows.derivatives(lam)))
            tests[name].append(rows.test(ridge, X[split.test], labels[split.test]))
    return Reweighting(len(learned), len(split.test), tests)
