"""Fits of rows in memory, and what the derivative says of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from unlearning.dataset_derivative import leave_out_derivatives, validation_derivatives
from unlearning.leave_one_out import leave_out
from unlearning.objective import DEFAULT_LABEL_SCALE
from unlearning.weighted_fit import Rows, WeightedFit

BLOCK = 1024

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

    def held_out_logits(self, ridge: float) -> Floats:
        """Each row's by the fit without it, shape (n, C)."""
        fit = self.fit(ridge)
        return np.concatenate([rows.t - leave_out(fit, rows).residuals for rows in self.blocks()])

    def held_out_error(self, ridge: float) -> float:
        """The mean of ||r||^2."""
        t = DEFAULT_LABEL_SCALE * np.eye(self.classes)[self.labels]
        return float(np.square(t - self.held_out_logits(ridge)).sum(axis=1).mean())

    def test(self, ridge: float, X: Floats, labels: Labels) -> "Test":
        """How the fit does on other rows."""
        logits = X @ self.fit(ridge).W
        t = DEFAULT_LABEL_SCALE * np.eye(self.classes)[labels]
        return Test(
            float(np.square(t - logits).sum(axis=1).mean()),
            float((logits.argmax(axis=1) != labels).mean()),
        )


@dataclass(frozen=True)
class Test:
    """The mean of ||t - f(x)||^2 on rows held back, and the part that is told wrongly."""

    __test__ = False
    loss: float
    error: float


def noisy(labels: Labels, part: float, classes: int, rng: np.random.Generator) -> Labels:
    """The same labels, a part of them replaced by another class, uniformly."""
    moved = (labels + rng.integers(1, classes, len(labels))) % classes
    return np.where(rng.random(len(labels)) < part, moved, labels)
