"""What every method offers: settings chosen on a tuning draw, then training images to logits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.accuracy.images import Images
from tests.benchmarks.accuracy.tasks import Draw
from tests.benchmarks.datasets import Indices

Learner = Callable[[Indices, Indices, Indices], NDArray[np.float32]]
"""Takes training images and their labels, shape (n,), and test images; returns logits (m, C)."""


@dataclass(frozen=True)
class Tuned:
    """A learner, and the settings that were chosen for it, in words."""

    learn: Learner
    chosen: str


@dataclass(frozen=True)
class Method:
    """One column of the results.

    Attributes:
        words: what it is.
        tune: chooses a learner for images by training on draws and looking at what they hold out.
        largest: the most training images that it is given here, for want of time.
    """

    words: str
    tune: Callable[[Images, Sequence[Draw]], Tuned]
    largest: float = inf


def error(logits: NDArray[np.floating[Any]], labels: Indices) -> float:
    """The fraction that is classified wrongly."""
    return float((logits.argmax(axis=1) != labels).mean())
