"""Which images are learned, and which are held back: whole classes, half of each data set's."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tests.benchmarks import datasets
from tests.benchmarks.datasets import Dataset, Indices
from unlearning.cores._image import decode

FASHION, DIGITS, STAMPS = "Fashion-MNIST", "digits", "stamps"
EVEN, ODD = 0, 1
"""Classes by the parity of their number: one half is learned, the other one is new."""

MANY_CLOTHES = f"{FASHION}, more of it"
"""For tasks that need no core of every seed."""

MOST_LEARNED = 12_000
MOST_EACH = {FASHION: (1000, 1000), MANY_CLOTHES: (1000, 3000)}
"""Training and test images that tasks are made of; all of the smaller sets'."""


@dataclass(frozen=True, eq=False)
class Held:
    """The images that tasks are made of, with indices of their two parts."""

    encoded: list[bytes]
    labels: Indices
    train: Indices
    test: Indices

    def parts(self, parities: Sequence[int]) -> tuple[Indices, Indices]:
        """Training and test images of the classes that have one of these parities."""
        is_in = np.isin(self.labels % 2, parities)
        return self.train[is_in[self.train]], self.test[is_in[self.test]]


@cache
def dataset(name: str) -> Dataset:
    """One of those that are installed; raises FileNotFoundError, with how, for one that is not."""
    if name in datasets.missing():
        raise FileNotFoundError(datasets.missing()[name])
    load, _ = datasets.SOURCES[name]
    return load()


def learned(name: str, parity: int) -> Indices:
    """The training images of half of the classes; of stamps, which are few, the test images too."""
    found = dataset(name)
    every = np.concatenate([found.train, found.test]) if name == STAMPS else found.train
    return every[found.labels[every] % 2 == parity][:MOST_LEARNED]


@cache
def held(name: str) -> Held:
    """What tasks are made of."""
    found = dataset(FASHION if name == MANY_CLOTHES else name)
    most_train, most_test = MOST_EACH.get(name, (None, None))
    # Of Fashion-MNIST the last of the training images, which are not among those learned.
    train = found.train[-most_train:] if most_train else found.train
    test = found.test[:most_test]
    every = np.concatenate([train, test])
    return Held(
        [found.encoded[i] for i in every],
        found.labels[every],
        np.arange(len(train)),
        np.arange(len(train), len(every)),
    )


def pixels(encoded: list[bytes], size: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """RGB, shape (n, size, size, 3)."""
    return np.stack([decode(image, size, row) for row, image in enumerate(encoded)])
