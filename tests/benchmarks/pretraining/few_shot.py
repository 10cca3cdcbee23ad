"""Few-shot accuracy on classes never seen: CIDS, beside either of its two halves alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.pretraining import plans
from tests.benchmarks.pretraining.features import LAST_LAYER, Floats, Seen
from tests.benchmarks.pretraining.intervals import Mean
from tests.benchmarks.pretraining.plans import (
    ALL_POSITIVES,
    CIDS,
    CONTRAST,
    CROSS_ENTROPY,
    IMAGENET,
    LITE,
    RANDOM,
    SMALL,
)
from tests.benchmarks.pretraining.sets import DIGITS, EVEN, FASHION, ODD, STAMPS, Held, held
from unlearning.pretraining.episodes import Episode, episodes

WAYS, SHOTS, QUERIES, EPISODES = 5, (1, 5), 10, 600

START = "before"
"""The encoder before any of this training: random, or with its ImageNet weights."""

OTHERS = (CONTRAST, CROSS_ENTROPY, START)
"""That CIDS is compared with."""

Values = NDArray[np.float64]
"""Accuracies, shape (seeds, episodes)."""


@dataclass(frozen=True)
class Task:
    """New classes.

    Attributes:
        encoder: which all cores have.
        data, parities: whose images, of which classes.
        cores: what is compared on them, by method.
    """

    words: str
    encoder: str
    data: str
    parities: tuple[int, ...]
    cores: Mapping[str, str]


def tasks() -> Iterator[Task]:
    """Small encoders on the other half of the clothes and on digits; EfficientNets on stamps."""
    for learned, new, known, words in ((EVEN, ODD, "even", "odd"), (ODD, EVEN, "odd", "even")):
        cores = {method: plans.small(method, learned) for method in plans.SUPERVISION}
        cores[START] = RANDOM
        if learned == EVEN:  # where the number of positives was chosen
            cores[ALL_POSITIVES] = plans.small(ALL_POSITIVES, EVEN)
        name = f"small of {known} clothes"
        yield Task(f"{name}, {words} clothes", SMALL, FASHION, (new,), cores)
        yield Task(f"{name}, {DIGITS}", SMALL, DIGITS, (EVEN, ODD), cores)
    cores = {method: plans.fine_tuned(method) for method in plans.SUPERVISION}
    cores[START] = IMAGENET
    name = "EfficientNet of even stamps"
    yield Task(f"{name}, odd stamps", LITE, STAMPS, (ODD,), cores)
    yield Task(f"{name}, clothes", LITE, FASHION, (EVEN, ODD), cores)


def measure(seen: Seen) -> dict[str, Any]:
    """Accuracies by encoder, task, shots and method, and by how much CIDS is above the others."""
    found: dict[str, Any] = {}
    for encoder in (SMALL, LITE):
        values = {
            f"{task.words}, {shots}-shot": _measure(seen, task, shots)
            for task in tasks()
            if task.encoder == encoder
            for shots in SHOTS
        }
        found[encoder] = {
            "tasks": {words: _summed_up(each) for words, each in values.items()},
            "CIDS minus, on average": {
                other: asdict(Mean.of(np.mean([_above(v, other) for v in values.values()], axis=0)))
                for other in OTHERS
            },
        }
    return found


def _measure(seen: Seen, task: Task, shots: int) -> dict[str, Values]:
    images = held(task.data)
    return {
        method: np.array(
            [
                accuracies(seen.psi(each, task.data, LAST_LAYER), images, task.parities, shots)
                for each in plans.trainings(core)
            ]
        )
        for method, core in task.cores.items()
    }


def _summed_up(values: Mapping[str, Values]) -> dict[str, Any]:
    return {
        "accuracy": {method: asdict(Mean.of(each)) for method, each in values.items()},
        "CIDS minus": {other: asdict(Mean.of(_above(values, other))) for other in OTHERS},
    }


def _above(values: Mapping[str, Values], other: str) -> Values:
    return values[CIDS] - values[other]


def accuracies(psi: Floats, images: Held, parities: Sequence[int], shots: int) -> Values:
    """Of all episodes of some classes, the same for all features of the same images."""
    places = np.flatnonzero(np.isin(images.labels % 2, parities))
    labels, rows = images.labels[places], psi[places, :-1]
    sizes = {"ways": WAYS, "shots": shots, "queries": QUERIES, "count": EPISODES, "seed": shots}
    return np.array([accuracy(rows, episode) for episode in episodes(labels, **sizes)])


def accuracy(rows: Floats, episode: Episode) -> float:
    """Of the nearest class mean by cosine, around the mean of the support."""
    support, query = rows[episode.support], rows[episode.query]
    origin = support.mean(0)
    units = _unit(support - origin)
    centres = np.stack([units[episode.support_labels == way].mean(0) for way in range(WAYS)])
    told = (_unit(query - origin) @ _unit(centres).T).argmax(1)
    return float((told == episode.query_labels).mean())


def _unit(rows: Floats) -> NDArray[np.float32]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
