"""Few-shot accuracy on classes never seen: CIDS, beside either of its two halves alone."""

from collections.abc import Iterator, Mapping
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
    RANDOM,
)
from tests.benchmarks.pretraining.sets import DIGITS, EVEN, FASHION, ODD, STAMPS, held
from unlearning.pretraining.episodes import Episode, episodes

WAYS, SHOTS, QUERIES, EPISODES = 5, (1, 5), 10, 600

START = "before"
"""The encoder before any of this training: random, or with its ImageNet weights."""


@dataclass(frozen=True)
class Task:
    """New classes.

    Attributes:
        data, parities: whose images, of which classes.
        cores: what is compared on them, by method.
    """

    words: str
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
        yield Task(f"small of {known} clothes, {words} clothes", FASHION, (new,), cores)
        yield Task(f"small of {known} clothes, {DIGITS}", DIGITS, (EVEN, ODD), cores)
    cores = {method: plans.fine_tuned(method) for method in plans.SUPERVISION}
    cores[START] = IMAGENET
    yield Task("EfficientNet of even stamps, odd stamps", STAMPS, (ODD,), cores)
    yield Task("EfficientNet of even stamps, clothes", FASHION, (EVEN, ODD), cores)


def measure(seen: Seen) -> dict[str, Any]:
    """Accuracies by task, shots and method, and the differences of CIDS from the others."""
    return {
        task.words: {str(shots): _measure(seen, task, shots) for shots in SHOTS} for task in tasks()
    }


def _measure(seen: Seen, task: Task, shots: int) -> dict[str, Any]:
    labels = held(task.data).labels
    places = np.flatnonzero(np.isin(labels % 2, task.parities))
    drawn = list(
        episodes(
            labels[places], ways=WAYS, shots=shots, queries=QUERIES, count=EPISODES, seed=shots
        )
    )
    found = {
        method: np.array(
            [
                accuracy(rows, episode)
                for rows in [seen.psi(core, task.data, LAST_LAYER)[places, :-1]]
                for episode in drawn
            ]
        )
        for method, core in task.cores.items()
    }
    return {
        "accuracy": {method: asdict(Mean.of(values)) for method, values in found.items()},
        "CIDS minus": {
            other: asdict(Mean.of(found[CIDS] - found[other]))
            for other in (CONTRAST, CROSS_ENTROPY, START)
        },
    }


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
