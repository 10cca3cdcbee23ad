"""Intervals for what is measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr


@dataclass(frozen=True)
class Interval:
    """An estimate between its confidence limits."""

    low: float
    value: float
    high: float

    @classmethod
    def point(cls, value: float) -> Self:
        """What is known."""
        return cls(value, value, value)


def clopper_pearson(successes: int, trials: int, confidence: float) -> Interval:
    """The exact interval of a binomial proportion (Clopper and Pearson, 1934)."""
    limits = stats.binomtest(successes, trials).proportion_ci(confidence, method="exact")
    return Interval(float(limits.low), successes / trials, float(limits.high))


def median_interval(values: Sequence[float], confidence: float, mu: float) -> Interval:
    """Where a median may lie of what is mu-GDP from what these values were drawn from.

    With m such a median, ``x >= m`` has a chance of at least 1/2 there, hence of at least
    Phi(-mu) here, and so has ``x <= m`` (Dong, Roth and Su, 2019): m lies between the quantiles
    here at Phi(-mu) and Phi(mu). Their limits are order statistics, each of which misses with at
    most half the error whatever the distribution, ties included. With mu = 0 the median is that
    of the values' own distribution. For mu = inf there is no limit, nor from too few values.
    """
    ordered, error = np.sort(values), (1 - confidence) / 2
    rank = int(stats.binom.ppf(error, len(ordered), ndtr(-mu)))  # P(fewer are below) < error
    low, high = (float(ordered[rank - 1]), float(ordered[-rank])) if rank else (-inf, inf)
    return Interval(low, float(np.median(ordered)), high)


@dataclass(frozen=True)
class PairedTrials:
    """An attack's verdicts on pairs of releases: one that forgot, one that never knew.

    A pair shares all else, so its verdicts may depend on each other; pairs must not. Counts
    of pairs by which of the two the attack takes for one that still knows.
    """

    both: int
    only_unlearned: int
    only_retrained: int
    neither: int

    @classmethod
    def of(cls, unlearned: NDArray[np.bool_], retrained: NDArray[np.bool_]) -> Self:
        """Counts verdicts, shape (pairs,) each."""
        return cls(
            both=int((unlearned & retrained).sum()),
            only_unlearned=int((unlearned & ~retrained).sum()),
            only_retrained=int((~unlearned & retrained).sum()),
            neither=int((~unlearned & ~retrained).sum()),
        )

    @property
    def pairs(self) -> int:
        """How many there are."""
        return self.both + self.only_unlearned + self.only_retrained + self.neither

    def true_positive_rate(self, confidence: float) -> Interval:
        """How often the one that forgot is taken for one that still knows."""
        return clopper_pearson(self.both + self.only_unlearned, self.pairs, confidence)

    def false_positive_rate(self, confidence: float) -> Interval:
        """How often the one that never knew is."""
        return clopper_pearson(self.both + self.only_retrained, self.pairs, confidence)

    def accuracy(self, confidence: float) -> Interval:
        """Of telling which of the two a release is, under a balanced prior.

        It is 1/2 + (p - q) / 2 with p and q the chances of the pairs that are told apart,
        each in a Clopper-Pearson interval of half the error. Where both releases have the
        same bits there are no such pairs: the narrowest interval that pairs can give.
        """
        p, q = (
            clopper_pearson(apart, self.pairs, (1 + confidence) / 2)
            for apart in (self.only_unlearned, self.only_retrained)
        )
        return Interval(
            (1 + p.low - q.high) / 2, (1 + p.value - q.value) / 2, (1 + p.high - q.low) / 2
        )
