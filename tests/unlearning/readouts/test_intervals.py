"""Intervals against exact sums over all outcomes, and simulation."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from unlearning.readouts.intervals import (
    Interval,
    PairedTrials,
    clopper_pearson,
    median_interval,
)


@pytest.mark.parametrize("confidence", [0.9, 0.99])
@pytest.mark.parametrize("trials", [1, 7, 40])
def test_each_side_misses_no_proportion_more_often_than_half_the_error(
    trials: int, confidence: float
) -> None:
    intervals = [clopper_pearson(k, trials, confidence) for k in range(trials + 1)]
    low, high = (np.array([getattr(one, side) for one in intervals]) for side in ("low", "high"))
    for p in np.linspace(0, 1, 101):
        chance = stats.binom.pmf(np.arange(trials + 1), trials, p)
        assert chance[low > p + 1e-12].sum() <= (1 - confidence) / 2 + 1e-12
        assert chance[high < p - 1e-12].sum() <= (1 - confidence) / 2 + 1e-12


def test_no_success_in_n_leaves_the_rate_whose_failures_are_as_likely_as_half_the_error() -> None:
    assert clopper_pearson(0, 30, 0.95) == Interval(0, 0, pytest.approx(1 - 0.025 ** (1 / 30)))
    assert clopper_pearson(30, 30, 0.95).low == pytest.approx(0.025 ** (1 / 30))


def counted(cells: list[int]) -> PairedTrials:
    """Both, only unlearned, only retrained, neither."""
    return PairedTrials(*cells)


def test_verdicts_on_pairs_are_counted_and_turned_into_rates() -> None:
    unlearned = np.array([1, 1, 1, 1, 1, 0, 0, 0], bool)
    retrained = np.array([1, 1, 0, 0, 0, 1, 0, 0], bool)
    trials = PairedTrials.of(unlearned, retrained)
    assert trials == counted([2, 3, 1, 2])
    assert trials.pairs == 8
    assert trials.true_positive_rate(0.9) == clopper_pearson(5, 8, 0.9)
    assert trials.false_positive_rate(0.9) == clopper_pearson(3, 8, 0.9)
    right = (unlearned.sum() + (~retrained).sum()) / 16
    assert trials.accuracy(0.9).value == right == 0.625


def test_equal_verdicts_are_exactly_at_chance_however_many_are_positive() -> None:
    for both in (0, 13, 100):
        accuracy = counted([both, 0, 0, 100 - both]).accuracy(0.95)
        assert accuracy.value == 0.5
        assert accuracy.high - 0.5 == pytest.approx(0.5 - accuracy.low)
        assert accuracy.high < 0.53


@pytest.mark.parametrize(
    "chances",
    [[0.25, 0.25, 0.25, 0.25], [0.4, 0.1, 0.1, 0.4], [0, 0.9, 0, 0.1], [0, 0.3, 0.6, 0.1]],
)
def test_the_accuracy_of_dependent_pairs_is_covered(chances: list[float]) -> None:
    rng = np.random.default_rng(0)
    truth = 0.5 + (chances[1] - chances[2]) / 2
    drawn = rng.multinomial(60, chances, 400)
    intervals = [counted([int(cell) for cell in cells]).accuracy(0.9) for cells in drawn]
    assert np.mean([one.low <= truth <= one.high for one in intervals]) > 0.88


THRESHOLDS = [[0.0, 0.7], [-0.2, 0.2], [-3.0, -0.6], [1.1, 2.0]]


@pytest.mark.parametrize("thresholds", THRESHOLDS)
@pytest.mark.parametrize("mu", [-0.6, 0.0, 0.6])
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_each_limit_misses_a_median_of_what_is_as_near_no_more_often_than_half_the_error(
    thresholds: list[float], mu: float, confidence: float
) -> None:
    """Exact sums, for Gaussians mu apart that only show between which thresholds they fall."""
    n = 30
    edges = np.array([-np.inf, *thresholds, np.inf])
    here, there = np.diff(stats.norm.cdf(edges)), np.diff(stats.norm.cdf(edges - mu))
    medians = (there.cumsum() >= 0.5) & (there[::-1].cumsum()[::-1] >= 0.5)
    above = below = 0.0
    for low, middle in product(range(n + 1), repeat=2):
        counts = [low, middle, n - low - middle]
        if min(counts) < 0:
            continue
        interval = median_interval(np.repeat([0.0, 1.0, 2.0], counts), confidence, abs(mu))
        chance = stats.multinomial.pmf(counts, n, here)
        above += chance * (interval.low > medians.argmax())
        below += chance * (interval.high < 2 - medians[::-1].argmax())
    assert max(above, below) <= (1 - confidence) / 2


def test_a_limit_is_no_further_than_it_must_be() -> None:
    rng = np.random.default_rng(1)
    limits = [median_interval(rng.normal(size=64), 0.9, 0.5) for _ in range(4000)]
    missed = [
        np.mean([one.high < 0.5 for one in limits]),
        np.mean([one.low > -0.5 for one in limits]),
    ]
    assert np.mean(missed) == pytest.approx(0.04, abs=0.01)


def test_equal_values_leave_no_room_and_no_bound_or_few_values_leave_all() -> None:
    assert median_interval([0.1] * 12, 0.99, 0.0) == Interval.point(0.1)
    for values, mu in (([0.1] * 12, np.inf), ([0.1] * 7, 0.0)):
        everything = median_interval(values, 0.99, mu)
        assert (everything.low, everything.high) == (-np.inf, np.inf)
