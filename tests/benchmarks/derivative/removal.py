"""Test errors after removing what each method finds the likeliest wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.derivative.detection import PART, find
from tests.benchmarks.derivative.fits import Floats, Labels, Noisy, Test

FRACTIONS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
"""Of the rows that are not CORE."""

RANDOM = "at random"
DRAWS = 3


@dataclass(frozen=True)
class Removal:
    """One data set's, a fifth of whose labels are wrong.

    Attributes:
        rows: learned from at first.
        tests: of refits under the model's ridge, for each fraction, by method.
    """

    rows: int
    tests: Mapping[str, Sequence[Test]]


def measure(X: Floats, labels: Labels, classes: int, ridge: float) -> Removal:
    """A third of the rows, with their right labels, is to test on."""
    order = np.random.default_rng(5).permutation(len(X))
    test, learned = np.split(order, [len(X) // 3])
    rows = Noisy.of(X[learned], labels[learned], classes, PART, seed=5)
    users = np.flatnonzero(~rows.is_core)

    def curve(values: Floats) -> list[Test]:
        """Removes the rows of the largest values first."""
        gone = users[np.argsort(-values[users], kind="stable")]
        tests = []
        for fraction in FRACTIONS:
            weights = np.ones(len(learned))
            weights[gone[: round(fraction * len(users))]] = 0.0
            left = rows.seen_as_right.weighing(weights)
            tests.append(left.test(ridge, X[test], labels[test]))
        return tests

    tests = {name: curve(found.values) for name, found in find(rows, ridge)[1].items()}
    rng = np.random.default_rng(6)
    drawn = [curve(rng.random(len(learned))) for _ in range(DRAWS)]
    tests[RANDOM] = [Test.mean(each) for each in zip(*drawn, strict=True)]
    return Removal(len(learned), tests)
