"""What is learned: a data set, a number of its training images, and what it is tested on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.datasets import Dataset, Indices, held_out

TUNING_SEED = 1000
"""Beyond those of the draws that count."""


@dataclass(frozen=True)
class Sizes:
    """How much is learned.

    Attributes:
        draws: how often a number of shots is drawn.
        tuning_draws: how often besides, to choose settings by.
        most_train, most_test: images that are taken of a data set, but for its last task.
        everything: whether a data set with more of them is also learned as a whole.
        held_out: of the training images that are not among the shots, for tuning.
        steps: fine-tuning's, times the root of the number of images.
    """

    draws: dict[int, int]
    tuning_draws: dict[int, int]
    most_train: int = 5000
    most_test: int = 2000
    everything: bool = True
    held_out: int = 300
    steps: int = 14


FULL = Sizes({1: 5, 5: 5, 20: 3}, {1: 2, 5: 2, 20: 1})
QUICK = Sizes(
    {1: 2, 5: 2},
    {1: 1, 5: 1},
    most_train=200,
    most_test=100,
    everything=False,
    held_out=50,
    steps=1,
)


@dataclass(frozen=True)
class Draw:
    """Indices of the images that are learned, and of those that it is tested on."""

    train: Indices
    test: Indices


@dataclass(frozen=True)
class Task:
    """One line of the results.

    Attributes:
        shots: training images of each class (fewer where there are not as many); None for all.
        draws: what is learned and tested, several times.
        tuning: what settings may be chosen by: tested on other training images.
    """

    dataset: Dataset
    shots: int | None
    draws: list[Draw]
    tuning: list[Draw]

    @property
    def images(self) -> Indices:
        """All that it takes."""
        draws = [*self.tuning, *self.draws]
        return np.unique(
            np.concatenate([part for draw in draws for part in (draw.train, draw.test)])
        )

    @property
    def words(self) -> str:
        """Short."""
        learned = len(self.draws[0].train)
        return f"{self.dataset.name}, {f'{self.shots}-shot' if self.shots else f'{learned:,}'}"


def tasks(dataset: Dataset, sizes: Sizes) -> Iterator[Task]:
    """From the fewest images to the most."""
    test = dataset.test[: sizes.most_test]
    for shots, draws in sizes.draws.items():
        drawn = [Draw(_shots(dataset, shots, seed), test) for seed in range(draws)]
        tuning = [
            _tuning(dataset, shots, TUNING_SEED + i, sizes.held_out)
            for i in range(sizes.tuning_draws[shots])
        ]
        yield Task(dataset, shots, drawn, tuning)
    some = dataset.train[: sizes.most_train]
    tuning = [_fifth_held_out(dataset, some)]
    yield Task(dataset, None, [Draw(some, test)], tuning)
    if sizes.everything and len(dataset.train) > len(some):
        yield Task(dataset, None, [Draw(dataset.train, dataset.test)], tuning)


def _shots(dataset: Dataset, shots: int, seed: int) -> Indices:
    rng = np.random.default_rng(seed)
    labels = dataset.labels[dataset.train]
    each = [rng.permutation(dataset.train[labels == c])[:shots] for c in np.unique(labels)]
    return np.concatenate(each)


def _tuning(dataset: Dataset, shots: int, seed: int, most: int) -> Draw:
    train = _shots(dataset, shots, seed)
    rest = np.random.default_rng(seed).permutation(np.setdiff1d(dataset.train, train))
    return Draw(train, rest[:most])


def _fifth_held_out(dataset: Dataset, train: Indices) -> Draw:
    places = held_out(dataset.labels[train], 0.2, np.random.default_rng(TUNING_SEED))
    return Draw(np.delete(train, places), train[places])
