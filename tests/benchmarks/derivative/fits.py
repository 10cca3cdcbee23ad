"""Fits of rows in memory, and what the derivative says of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from unlearning.dataset_derivative import leave_out_derivatives, validation_derivatives
from unlearning.leave_one_out import leave_out
from unlearning.objective import DEFAULT_LABEL_SCALE
from unlearning.weighted_fit import Rows, WeightedFit

BLOCK = 1024

CORE_PART = 0.1
"""Of the rows of a set with wrong labels."""

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Weighted:
    """Rows of features with labels, each its own group.

    Attributes:
        X: features, shape (n, d), in real units.
        labels: shape (n,).
        weights: shape (n,).
        counts: whether an objective sums over a row, shape (n,).
        classes: how many there are.
    """

    X: Floats
    labels: Labels
    weights: Floats
    counts: NDArray[np.bool_]
    classes: int

    @classmethod
    def of(cls, X: Floats, labels: Labels, classes: int) -> Self:
        """Each row counts, with weight 1."""
        return cls(X, labels, np.ones(len(X)), np.ones(len(X), np.bool_), classes)

    def weighing(self, weights: Floats) -> Self:
        """The same rows with other weights."""
        return replace(self, weights=weights)

    def blocks(self) -> Iterator[Rows]:
        """As the mathematics reads them."""
        t = DEFAULT_LABEL_SCALE * np.eye(self.classes)[self.labels]
        for start in range(0, len(self.X), BLOCK):
            here = slice(start, start + BLOCK)
            groups = np.arange(start, start + len(self.X[here]))
            yield Rows(self.X[here], t[here], groups, self.weights[here], self.counts[here])

    def fit(self, ridge: float) -> WeightedFit:
        """On the rows of weight above 0."""
        return WeightedFit.of_rows(self.blocks(), ridge)

    def derivatives(self, ridge: float) -> Floats:
        """Of the leave-one-out error, shape (n,)."""
        found = leave_out_derivatives(self.fit(ridge), self.blocks)
        return np.concatenate([each.derivatives for each in found])

    def validation_derivatives(self, ridge: float) -> Floats:
        """Of the error on the rows that count, shape (n,)."""
        return np.concatenate(list(validation_derivatives(self.fit(ridge), self.blocks)))

    def held_out_errors(self, ridge: float) -> Floats:
        """Each row's ||r||^2, shape (n,)."""
        fit = self.fit(ridge)
        left = (leave_out(fit, rows).residuals for rows in self.blocks())
        return np.concatenate([np.square(r).sum(axis=1) for r in left])

    def held_out_error(self, ridge: float) -> float:
        """Their mean."""
        return float(self.held_out_errors(ridge).mean())

    def test(self, ridge: float, X: Floats, labels: Labels) -> "Test":
        """How the fit does on other rows."""
        logits = X @ self.fit(ridge).W
        t = DEFAULT_LABEL_SCALE * np.eye(self.classes)[labels]
        return Test(
            float(np.square(t - logits).sum(axis=1).mean()),
            float((logits.argmax(axis=1) != labels).mean()),
        )


@dataclass(frozen=True)
class Noisy:
    """Rows some of whose labels are wrong; not those of CORE rows, which are known to be right.

    Attributes:
        X: features, shape (n, d), in real units.
        labels: the right ones, shape (n,).
        seen: those that are given, shape (n,).
        is_core: shape (n,).
        classes: how many there are.
    """

    X: Floats
    labels: Labels
    seen: Labels
    is_core: NDArray[np.bool_]
    classes: int

    @classmethod
    def of(cls, X: Floats, labels: Labels, classes: int, part: float, seed: int) -> Self:
        """Replaces a part of the labels of rows that are not CORE."""
        rng = np.random.default_rng(seed)
        is_core = rng.random(len(labels)) < CORE_PART
        seen = np.where(is_core, labels, noisy(labels, part, classes, rng))
        return cls(X, labels, seen, is_core, classes)

    @property
    def is_wrong(self) -> NDArray[np.bool_]:
        """Whether a row's label is, shape (n,)."""
        return np.asarray(self.seen != self.labels)

    @property
    def seen_as_right(self) -> Weighted:
        """What a model makes of them."""
        return Weighted.of(self.X, self.seen, self.classes)


@dataclass(frozen=True)
class Test:
    """The mean of ||t - f(x)||^2 on rows held back, and the part that is told wrongly."""

    __test__ = False
    loss: float
    error: float

    @classmethod
    def mean(cls, tests: Sequence[Self]) -> Self:
        """Of several."""
        return cls(*np.mean([(each.loss, each.error) for each in tests], axis=0).tolist())


def noisy(labels: Labels, part: float, classes: int, rng: np.random.Generator) -> Labels:
    """The same labels, a part of them replaced by another class, uniformly."""
    moved = (labels + rng.integers(1, classes, len(labels))) % classes
    return np.where(rng.random(len(labels)) < part, moved, labels)
