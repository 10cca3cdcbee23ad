"""Regret of choosing a core by its samples left out, beside other ways to choose."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.pretraining.features import KINDS, Floats, Seen
from tests.benchmarks.pretraining.intervals import Mean
from tests.benchmarks.pretraining.plans import PLANS
from tests.benchmarks.pretraining.probes import fitted
from tests.benchmarks.pretraining.sets import DIGITS, EVEN, MANY_CLOTHES, ODD, STAMPS, held
from unlearning.pretraining.selection import RIDGES, Choice, choose

DATA = {"clothes": MANY_CLOTHES, "digits": DIGITS, "stamps": STAMPS}
LEARNED = 0.6
"""The largest part of a class's images; all others of it are told apart."""


class Group(NamedTuple):
    """Tasks: the classes of one parity of each data set, at several sizes."""

    parity: int
    sizes: tuple[int, ...]
    draws: int


SIZED, FEW_SHOT, TUNED = "sizes people have", "few-shot", "where the rule was found"
GROUPS = {
    SIZED: Group(ODD, (20, 50, 200), 5),
    FEW_SHOT: Group(ODD, (5,), 10),
    TUNED: Group(EVEN, (5, 20, 50), 3),
}

LOG_LOSS, ERROR, MISTAKES = "log-loss left out", "squared error left out", "mistakes left out"
VALIDATION, CENTROID = "validation split", "nearest centroid"
RULES = (LOG_LOSS, ERROR, MISTAKES, VALIDATION, CENTROID)
ORACLE = "the best on half of the test images"

Option = tuple[str, float]
Labels = NDArray[np.int64]
Right = NDArray[np.bool_]


class Samples(NamedTuple):
    """Features of the same images by each candidate, and their labels."""

    features: Mapping[str, Floats]
    labels: Labels

    def of(self, rows: Labels) -> "Samples":
        """Some of them."""
        return Samples({name: psi[rows] for name, psi in self.features.items()}, self.labels[rows])


class Draw(NamedTuple):
    """Accuracies in hindsight, and what each rule loses against the best core."""

    best_core: float
    best_core_and_ridge: float
    regret: Mapping[str, float]


def measure(seen: Seen) -> dict[str, Any]:
    """By group: accuracies in hindsight of each task, and the regret of each rule."""
    found = {words: _measure(seen, group) for words, group in GROUPS.items()}
    return {"candidates": len(PLANS) * len(KINDS), **found}


def _measure(seen: Seen, group: Group) -> dict[str, Any]:
    tasks = {
        f"{words}, {size} a class": [
            _draw(every, size, np.random.default_rng(draw)) for draw in range(group.draws)
        ]
        for words, data in DATA.items()
        for every in [_samples(seen, data, group.parity)]
        for size in group.sizes
    }
    return {
        "tasks": {task: _summed_up(draws) for task, draws in tasks.items()},
        "mean": _summed_up([_averaged(draws) for draws in zip(*tasks.values(), strict=True)]),
    }


def _samples(seen: Seen, data: str, parity: int) -> Samples:
    """All images of half of the classes."""
    features = {f"{core}, {kind}": seen.psi(core, data, kind) for core in PLANS for kind in KINDS}
    labels = held(data).labels
    return Samples(features, labels).of(np.flatnonzero(labels % 2 == parity))


def _summed_up(draws: list[Draw]) -> dict[str, Any]:
    return {
        "best core": float(np.mean([draw.best_core for draw in draws])),
        "best core and ridge": float(np.mean([draw.best_core_and_ridge for draw in draws])),
        "regret": {
            rule: asdict(Mean.of([draw.regret[rule] for draw in draws])) for rule in draws[0].regret
        },
    }


def _averaged(draws: tuple[Draw, ...]) -> Draw:
    """Over tasks."""
    cores, ridges, regrets = zip(*draws, strict=True)
    regret = {rule: float(np.mean([each[rule] for each in regrets])) for rule in regrets[0]}
    return Draw(float(np.mean(cores)), float(np.mean(ridges)), regret)


def _draw(every: Samples, size: int, random: np.random.Generator) -> Draw:
    known, asked = _split(every, size, random)
    right, choice = _told(known, asked), choose(known.features, known.labels)
    of_cores = {name: right[name, _ridge(choice, name)] for name in known.features}
    best = max(each.mean() for each in of_cores.values())
    regret = {rule: best - right[option].mean() for rule, option in _chosen(known, choice, random)}
    regret[ORACLE] = best - _by_halves(np.stack(list(of_cores.values())), random)
    return Draw(float(best), max(float(each.mean()) for each in right.values()), regret)


def _split(every: Samples, size: int, random: np.random.Generator) -> tuple[Samples, Samples]:
    """So many images of each class, if it has enough, and all others."""
    return _apart(every, lambda count: min(size, int(LEARNED * count)), random)


def _apart(
    samples: Samples, drawn: Callable[[int], int], random: np.random.Generator
) -> tuple[Samples, Samples]:
    """Some of each class, by how many it has, and the others."""
    is_drawn = np.zeros(len(samples.labels), np.bool_)
    for label in np.unique(samples.labels):
        own = random.permutation(np.flatnonzero(samples.labels == label))
        is_drawn[own[: drawn(len(own))]] = True
    return samples.of(np.flatnonzero(is_drawn)), samples.of(np.flatnonzero(~is_drawn))


def _chosen(
    known: Samples, choice: Choice, random: np.random.Generator
) -> Iterator[tuple[str, Option]]:
    """Each rule's choice. Nearest centroid leaves the ridge to the samples left out."""
    scores = choice.scores
    yield LOG_LOSS, (choice.features, choice.ridge)
    yield ERROR, min(scores, key=lambda option: scores[option].error)
    yield MISTAKES, max(scores, key=lambda o: (scores[o].accuracy, -scores[o].log_loss))
    yield VALIDATION, _by_validation(known, random)
    centroids = {name: centroid_accuracy(psi, known.labels) for name, psi in known.features.items()}
    name = max(centroids, key=centroids.__getitem__)
    yield CENTROID, (name, _ridge(choice, name))


def _ridge(choice: Choice, name: str) -> float:
    """The one that would be chosen if there were no other features."""
    return min(RIDGES, key=lambda ridge: choice.scores[name, ridge].log_loss)


def _by_validation(known: Samples, random: np.random.Generator) -> Option:
    """The best on a third of each class, when the rest is learned."""
    asked, kept = _apart(known, lambda count: max(1, count // 3), random)
    right = _told(kept, asked)
    return max(right, key=lambda option: right[option].mean())


def _by_halves(right: Right, random: np.random.Generator) -> float:
    """Accuracy on either half of the images of what is best on the other one: (cores, images)."""
    halves = np.array_split(random.permutation(right.shape[1]), 2)
    best = [right[:, half].mean(1).argmax() for half in halves]
    return float(
        np.mean([right[b, half].mean() for b, half in zip(best, halves[::-1], strict=True)])
    )


def _told(known: Samples, asked: Samples) -> dict[Option, Right]:
    """Which images are told rightly."""
    return {
        (name, ridge): told == asked.labels
        for name, psi in known.features.items()
        for ridge, told in fitted(psi, known.labels, asked.features[name], RIDGES).items()
    }


def centroid_accuracy(psi: Floats, labels: Labels) -> float:
    """Of the nearest class mean, each row left out of its own."""
    rows = psi.astype(np.float64)
    classes, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.stack([rows[labels == label].sum(0) for label in classes])
    centres = sums / counts[:, None]
    distances = np.square(rows).sum(1)[:, None] - 2 * rows @ centres.T + np.square(centres).sum(1)
    own = (sums[places] - rows) / (counts[places] - 1)[:, None]
    distances[np.arange(len(rows)), places] = np.square(rows - own).sum(1)
    return float((distances.argmin(1) == places).mean())
