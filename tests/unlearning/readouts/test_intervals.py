"""Intervals against exact sums over all outcomes, and simulation."""

import numpy as np
import pytest
from scipy import stats

from unlearning.readouts.intervals import (
    Interval,
    PairedTrials,
    clopper_pearson,
    prediction_interval,
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


@pytest.mark.parametrize(("seen", "mu"), [(3, 0.0), (8, 0.0), (8, 1.5), (30, 1.5)])
def test_one_more_value_falls_into_the_prediction_interval_though_it_is_shifted(
    seen: int, mu: float
) -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(2000):
        *values, new = rng.normal(5, 2, seen + 1)
        interval = prediction_interval(values, 0.9, mu)
        inside += interval.low <= new + 2 * mu <= interval.high
    # 0.9 without a shift; where the spread is guessed from few, a shift is not fully allowed for.
    assert inside / 2000 == pytest.approx(0.9, abs=0.02) if mu == 0 else inside / 2000 > 0.87


def test_equal_values_leave_no_room_and_no_bound_leaves_all() -> None:
    assert prediction_interval([0.1] * 3, 0.99, 2.0) == Interval.point(pytest.approx(0.1))
    everything = prediction_interval([0.1] * 3, 0.99, float("inf"))
    assert (everything.low, everything.high) == (-np.inf, np.inf)
