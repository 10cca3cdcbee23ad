"""Rounding of features and targets to integers, once, when a sample is added.

Sums of products of lattice points are integers that float64 holds exactly, so they
have no order: any machine, batching or number of threads gives the same bits.
"""

from dataclasses import dataclass
from math import ceil, log2

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEATURE_BITS = 14
TARGET_BITS = 12
LARGEST_BOUND = 2.0**FEATURE_BITS


@dataclass(frozen=True)
class Lattice:
    """The integers -limit..limit times ``step``, a power of two.

    Attributes:
        step: distance between neighbours, in real units.
        limit: largest integer; larger values are clipped to it.
    """

    step: float
    limit: int

    def round(self, values: ArrayLike) -> NDArray[np.int64]:
        """Nearest lattice points of finite ``values``, clipped to the limit, as integers."""
        # Dividing by a power of two and rounding are exact in float32 too.
        bound = self.limit * self.step
        scaled = np.clip(values, -bound, bound) / np.float32(self.step)
        return np.rint(scaled).astype(np.int64)


def feature_lattice(bound: float) -> Lattice:
    """The lattice of features within ``bound`` (1 to 2^14): integers of at most 15 bits.

    The constant feature 1 lies on it, since the step is a power of two below 1.
    """
    step = 2.0 ** (ceil(log2(bound)) - FEATURE_BITS)
    return Lattice(step, int(bound / step))


TARGETS = Lattice(2.0**-TARGET_BITS, 2 ** (TARGET_BITS + 6))
"""The lattice of targets: within 64 in real units."""

LOGITS = Lattice(2.0**-9, 2**15 - 1)
"""The lattice of a head's logits, in 16 bits: within 64 too, in multiples of TARGETS.step."""
