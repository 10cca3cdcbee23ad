"""Few-shot episodes, as of Mini-ImageNet (Vinyals et al., NeurIPS 2016).

An episode draws some classes, a few samples of each to learn from, and others to be told apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unlearning.errors import InvalidInputError


@dataclass(frozen=True)
class Episode:
    """One small task.

    Attributes:
        support, query: indices of samples, shape (ways * shots,) and (ways * queries,).
        support_labels, query_labels: from 0 to ways - 1, of the same shapes.
    """

    support: NDArray[np.int64]
    support_labels: NDArray[np.int64]
    query: NDArray[np.int64]
    query_labels: NDArray[np.int64]


def episodes(
    labels: NDArray[np.int64], *, ways: int, shots: int, queries: int, count: int, seed: int
) -> Iterator[Episode]:
    """Draws episodes from samples of many classes, the same for the same seed.

    Raises:
        InvalidInputError: if there are fewer classes than ways, or a class has too few samples.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < ways or counts.min() < shots + queries:
        problem = f"{len(classes)} classes, the smallest of {counts.min(initial=0)} samples"
        fix = f"give at least {ways} classes of {shots + queries} samples each"
        raise InvalidInputError("labels", problem, fix)
    members = [np.flatnonzero(labels == label) for label in classes]
    random = np.random.default_rng(seed)
    for _ in range(count):
        drawn = [
            random.permutation(members[label])[: shots + queries]
            for label in random.permutation(len(classes))[:ways]
        ]
        support, query = np.split(np.array(drawn), [shots], axis=1)
        ways_of = np.arange(ways)
        yield Episode(
            support.ravel(), ways_of.repeat(shots), query.ravel(), ways_of.repeat(queries)
        )
