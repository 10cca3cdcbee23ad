"""Generated features: class centres and noise, as float32 rows like a network's."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unlearning.cores import load
from unlearning.objective import DEFAULT_LABEL_SCALE, Objective

ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Data:
    """Rows with their labels.

    Attributes:
        features: (n, d - 1), without the constant, as a client sends them.
        psi: the lattice rows (n, d), as they are stored.
        labels: (n,).
        objective: what is minimised over them.
    """

    features: NDArray[np.float32]
    psi: NDArray[np.int16]
    labels: NDArray[np.int64]
    objective: Objective

    @cached_property
    def rows(self) -> NDArray[np.float64]:
        """The stored rows in real units, exactly: what peers are given."""
        return self.psi * np.float64(self.objective.features.step)

    @cached_property
    def targets(self) -> NDArray[np.float64]:
        """The targets (n, C) in real units."""
        one_hot = np.eye(len(self.objective.classes))[self.labels]
        return self.objective.label_scale_in_real_units * one_hot

    def head(self, n: int) -> "Data":
        """The first n rows."""
        return Data(self.features[:n], self.psi[:n], self.labels[:n], self.objective)

    def relabelled(self, classes: int) -> "Data":
        """The same rows with random labels of another number of classes."""
        labels = np.random.default_rng(classes).integers(0, classes, len(self.labels))
        objective = replace(self.objective, classes=class_names(classes))
        return Data(self.features, self.psi, labels, objective)


def stream(n: int, d: int, classes: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Blocks of features (k, d - 1) and labels (k,), the same each time they are asked for."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 0.5, (classes, d - 1)).astype(np.float32)
    for start in range(0, n, ROWS_AT_ONCE):
        labels = rng.integers(0, classes, min(ROWS_AT_ONCE, n - start))
        yield centres[labels] + rng.standard_normal((len(labels), d - 1), np.float32), labels


def generate(n: int, d: int, classes: int) -> Data:
    """The whole stream in memory."""
    data = Data(
        np.empty((n, d - 1), np.float32),
        np.empty((n, d), np.int16),
        np.empty(n, np.int64),
        objective(d, classes),
    )
    start = 0
    for features, labels in stream(n, d, classes):
        here = slice(start, start + len(labels))
        data.features[here], data.labels[here] = features, labels
        data.psi[here, :-1] = data.objective.features.round(features)
        start = here.stop
    data.psi[:, -1] = data.objective.features.round(1.0)
    return data


def objective(d: int, classes: int) -> Objective:
    """The default objective of width d."""
    core = load(f"features:{d - 1}")
    return Objective.create(
        core_digest=core.digest,
        feature_map=core.feature_map,
        width=d,
        feature_bound=core.feature_bound,
        ridge=core.ridge,
        label_scale=DEFAULT_LABEL_SCALE,
        classes=class_names(classes),
    )


def class_names(classes: int) -> tuple[str, ...]:
    """A label for each class."""
    return tuple(f"class {i}" for i in range(classes))
