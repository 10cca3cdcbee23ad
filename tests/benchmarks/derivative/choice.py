"""Rows to add, and weights to change, chosen by the derivative."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.derivative.fits import Floats, Labels, Test, Weighted, noisy

PART = 0.2
DRAWS = 10
STEPS, STEP = 3, 0.1
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
        return self.by_derivative[k].loss < float(np.mean([each.loss for each in self.uniform[k]]))


@dataclass(frozen=True)
class Reweighting:
    """Tests after 0, 1, ... steps down the gradient of the leave-one-out error."""

    rows: int
    tests: Sequence[Test]


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
    """Moves weights by at most STEP at a time; a part of the labels is wrong."""
    learned = np.concatenate([split.base, split.pool])
    seen = noisy(labels[learned], part, classes, np.random.default_rng(3))
    rows = Weighted.of(X[learned], seen, classes)
    tests = []
    for _ in range(STEPS + 1):
        tests.append(rows.test(ridge, X[split.test], labels[split.test]))
        derivatives = rows.derivatives(ridge)
        step = STEP * derivatives / np.abs(derivatives).max()
        rows = rows.weighing(np.maximum(rows.weights - step, 0))
    return Reweighting(len(learned), tests)
