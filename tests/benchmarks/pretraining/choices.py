"""Regret of choosing a core by its leave-one-out error, beside other ways to choose."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.pretraining.features import KINDS, Floats, Seen
from tests.benchmarks.pretraining.intervals import Mean
from tests.benchmarks.pretraining.plans import PLANS
from tests.benchmarks.pretraining.probes import fitted
from tests.benchmarks.pretraining.sets import DIGITS, EVEN, FASHION, ODD, STAMPS, held
from unlearning.pretraining.selection import RIDGES, choose

DRAWS = 3
TASKS = {
    **{f"{FASHION}, {shots}-shot": (FASHION, (EVEN, ODD), shots) for shots in (5, 20, 50)},
    **{f"digits, {shots}-shot": (DIGITS, (EVEN, ODD), shots) for shots in (5, 20, 50)},
    **{f"stamps, odd topics, {shots}-shot": (STAMPS, (ODD,), shots) for shots in (5, 9)},
}
"""Images of each class to learn from; the smallest topic has nine."""

LEAVE_ONE_OUT = "leave-one-out error"
LEAVE_ONE_OUT_ACCURACY = "leave-one-out accuracy"
VALIDATION = "validation split"
CENTROID = "nearest centroid"
RULES = (LEAVE_ONE_OUT, LEAVE_ONE_OUT_ACCURACY, VALIDATION, CENTROID)

Option = tuple[str, float]
Labels = NDArray[np.int64]


class Samples(NamedTuple):
    """Features of the same images by each candidate, and their labels."""

    features: Mapping[str, Floats]
    labels: Labels

    def of(self, rows: Labels) -> "Samples":
        """Some of them."""
        return Samples({name: psi[rows] for name, psi in self.features.items()}, self.labels[rows])


def measure(seen: Seen) -> dict[str, Any]:
    """By task: the mean accuracy of the best in hindsight, and the regret of each rule."""
    found = {task: _measure(seen, *values) for task, values in TASKS.items()}
    regrets = {
        rule: float(np.mean([task["regret"][rule]["mean"] for task in found.values()]))
        for rule in RULES
    }
    return {"candidates": candidates(), "tasks": found, "mean regret": regrets}


def candidates() -> list[str]:
    """Two maps of each core."""
    return [f"{core}, {kind}" for core in PLANS for kind in KINDS]


def _measure(seen: Seen, data: str, parities: tuple[int, ...], shots: int) -> dict[str, Any]:
    images = held(data)
    features = {f"{core}, {kind}": seen.psi(core, data, kind) for core in PLANS for kind in KINDS}
    every = Samples(features, images.labels)
    is_in = np.isin(images.labels % 2, parities)
    train, test = (part[is_in[part]] for part in (images.train, images.test))
    draws = [_draw(every, train, test, shots, seed) for seed in range(DRAWS)]
    best = [draw.best for draw in draws]
    return {
        "best": asdict(Mean.of(best)),
        "regret": {
            rule: asdict(Mean.of([draw.best - draw.chosen[rule] for draw in draws]))
            for rule in RULES
        },
        "chosen": {rule: [draw.names[rule] for draw in draws] for rule in RULES},
    }


class Draw(NamedTuple):
    """Test accuracies of the best option, and of each rule's, with its name."""

    best: float
    chosen: Mapping[str, float]
    names: Mapping[str, str]


def _draw(every: Samples, train: Labels, test: Labels, shots: int, seed: int) -> Draw:
    random = np.random.default_rng(seed)
    support = np.concatenate(
        [
            random.permutation(train[every.labels[train] == label])[:shots]
            for label in np.unique(every.labels[train])
        ]
    )
    known, asked = every.of(support), every.of(test)
    accuracies = _tested(known, asked)
    options = dict(_chosen(known, random))
    return Draw(
        max(accuracies.values()),
        {rule: accuracies[option] for rule, option in options.items()},
        {rule: f"{name}, ridge {ridge:g}" for rule, (name, ridge) in options.items()},
    )


def _chosen(known: Samples, random: np.random.Generator) -> Iterator[tuple[str, Option]]:
    """Each rule's choice. Nearest centroid leaves the ridge to the leave-one-out error."""
    by_error = choose(known.features, known.labels)
    errors = by_error.errors
    yield LEAVE_ONE_OUT, (by_error.features, by_error.ridge)
    yield LEAVE_ONE_OUT_ACCURACY, max(errors, key=lambda o: (errors[o].accuracy, -errors[o].error))
    yield VALIDATION, _by_validation(known, random)
    scores = {name: centroid_accuracy(psi, known.labels) for name, psi in known.features.items()}
    name = max(scores, key=scores.__getitem__)
    yield CENTROID, (name, min(RIDGES, key=lambda ridge: errors[name, ridge].error))


def _by_validation(known: Samples, random: np.random.Generator) -> Option:
    """The best on a third of each class, when the rest is learned."""
    order = random.permutation(len(known.labels))
    rank = np.empty(len(order), np.int64)
    for label in np.unique(known.labels):
        own = order[known.labels[order] == label]
        rank[own] = np.arange(len(own))
    is_asked = rank < max(1, np.bincount(known.labels).max() // 3)
    places = np.arange(len(order))
    scores = _tested(known.of(places[~is_asked]), known.of(places[is_asked]))
    return max(scores, key=scores.__getitem__)


def _tested(known: Samples, asked: Samples) -> dict[Option, float]:
    return {
        (name, ridge): float((told == asked.labels).mean())
        for name, psi in known.features.items()
        for ridge, told in fitted(psi, known.labels, asked.features[name], RIDGES).items()
    }


def centroid_accuracy(psi: Floats, labels: Labels) -> float:
    """Of the nearest class mean, each row left out of its own."""
    rows = psi.astype(np.float64)
    classes, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.stack([rows[labels == label].sum(0) for label in classes])
    distances = np.square(rows[:, None] - (sums / counts[:, None])[None]).sum(2)
    own = (sums[places] - rows) / (counts[places] - 1)[:, None]
    distances[np.arange(len(rows)), places] = np.square(rows - own).sum(1)
    return float((distances.argmin(1) == places).mean())
