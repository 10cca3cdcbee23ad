"""Means with intervals of 95 %."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

_QUANTILE = 1.96


@dataclass(frozen=True)
class Mean:
    """A mean, and half of its interval."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """Of independent values; for differences, of pairs."""
        rows = np.asarray(values, np.float64)
        half = _QUANTILE * rows.std(ddof=1) / np.sqrt(len(rows))
        return cls(float(rows.mean()), float(half))

    @property
    def sign(self) -> int:
        """1 if above 0 beyond chance, -1 if below, 0 if neither."""
        return (self.mean > self.half) - (self.mean < -self.half)

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f} ± {100 * self.half:.1f}"
