"""Means with intervals of 95 %."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

_LEVEL = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean, and half of its interval."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """Of values of what was drawn independently; for differences, of pairs.

        An axis for each thing that was drawn, such as seeds and episodes. Each adds the square of
        its own half, which is Student's of the means along it: with one axis, the usual interval.
        What was drawn but once adds nothing.
        """
        rows = np.asarray(values, np.float64)
        axes = range(rows.ndim)
        along = [rows.mean(tuple(other for other in axes if other != axis)) for axis in axes]
        return cls(float(rows.mean()), float(np.linalg.norm([_half(each) for each in along])))

    @property
    def sign(self) -> int:
        """1 if above 0 beyond chance, -1 if below, 0 if neither."""
        return (self.mean > self.half) - (self.mean < -self.half)

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f} ± {100 * self.half:.1f}"


def _half(values: NDArray[np.float64]) -> float:
    n = len(values)
    if n == 1:
        return 0.0
    return float(t.ppf((1 + _LEVEL) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
