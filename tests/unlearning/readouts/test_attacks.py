"""Attacks on Gaussians a known distance apart, held against that distance and against others."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from unlearning.readouts.attacks import Scores, hold_against, likelihoods, read_attacks
from unlearning.readouts.result import Finding, ReadOut
from unlearning.readouts.worlds import Pairs, Shadows, Signals

SHADOWS, PAIRS, SAMPLES = 100, 256, 4
CONFIDENCE = 0.995


def drawn(rng: np.random.Generator, models: int, mu: float) -> NDArray[np.float64]:
    """Confidences that are together mu away from those of a model that never knew."""
    return rng.normal(mu / np.sqrt(SAMPLES), 1, (models, SAMPLES))


def scores(rng: np.random.Generator, learned: float, attacked: float) -> Scores:
    inside, outside = drawn(rng, SHADOWS, learned), drawn(rng, SHADOWS, 0)
    forgot, never_knew = drawn(rng, PAIRS, attacked), drawn(rng, PAIRS, 0)
    return likelihoods(inside, outside, Pairs(signals(forgot), signals(never_knew)))


@pytest.mark.parametrize("mu", [0.0, 1.0, 3.0])
def test_a_bound_that_holds_is_as_good_as_never_refuted(mu: float) -> None:
    rng = np.random.default_rng(0)
    runs = [
        read_out
        for _ in range(60)
        for read_out in hold_against("it", scores(rng, mu, mu), mu, CONFIDENCE)
    ]
    refuted = sum(read_out.finding is not Finding.WITHIN for read_out in runs)
    assert refuted <= stats.binom.ppf(0.999, len(runs), 1 - CONFIDENCE)


@pytest.mark.parametrize(("mu", "claimed"), [(1.5, 0.0), (3.0, 0.5), (4.0, 1.0)])
def test_a_bound_below_the_truth_is_refuted(mu: float, claimed: float) -> None:
    rng = np.random.default_rng(1)
    together, _, on_pairs, tpr = hold_against("it", scores(rng, mu, mu), claimed, CONFIDENCE)
    assert together.finding is on_pairs.finding is tpr.finding is Finding.ABOVE
    assert together.measured.low > stats.norm.cdf(claimed / 2)


def test_what_is_measured_is_near_what_the_best_attack_reaches() -> None:
    rng = np.random.default_rng(2)
    together, exposed, on_pairs, tpr = hold_against("it", scores(rng, 2, 2), 2, CONFIDENCE)
    assert together.measured.value == pytest.approx(stats.norm.cdf(1), abs=0.05)
    assert together.permitted.high == pytest.approx(stats.norm.cdf(1))
    assert together.permitted.low == pytest.approx(1 - stats.norm.cdf(1))
    assert exposed.measured.value == pytest.approx(stats.norm.cdf(0.5), abs=0.06)
    assert on_pairs.measured.value == pytest.approx(stats.norm.cdf(np.sqrt(2)), abs=0.05)
    assert on_pairs.permitted.high == pytest.approx(stats.norm.cdf(np.sqrt(2)))
    false = tpr.permitted.value
    assert false < 0.04
    assert tpr.measured.low < stats.norm.cdf(stats.norm.ppf(false) + 2) < tpr.measured.high


def test_the_permitted_true_positive_rate_follows_the_false_one_that_was_measured() -> None:
    """The threshold of few shadows lets a third of the models through: no leak is in that."""
    rng = np.random.default_rng(3)
    unknowing = np.full((SHADOWS, 1), -0.5)
    forgot, never_knew = rng.normal(-1, 1, (2, PAIRS, 1))
    [*_, tpr] = hold_against(
        "it", Scores(unknowing + 5, unknowing, forgot, never_knew), 0.0, CONFIDENCE
    )
    assert tpr.measured.low > 0.2
    assert tpr.finding is Finding.WITHIN
    [*_, tpr] = hold_against(
        "it", Scores(unknowing + 5, unknowing, forgot + 1, never_knew), 0.0, CONFIDENCE
    )
    assert tpr.finding is Finding.ABOVE


def test_one_sample_that_is_exposed_among_many_that_are_not_is_found() -> None:
    rng = np.random.default_rng(4)
    shift = np.zeros(40)
    shift[17] = 3
    inside, forgot = (rng.normal(shift, 1, (n, 40)) for n in (SHADOWS, PAIRS))
    outside, never_knew = (rng.normal(0, 1, (n, 40)) for n in (SHADOWS, PAIRS))
    attack = Scores(inside, outside, forgot, never_knew)
    together, exposed, *_ = hold_against("it", attack, 0.5, CONFIDENCE)
    assert together.finding is Finding.WITHIN
    assert exposed.finding is Finding.ABOVE
    assert exposed.measured.value == pytest.approx(stats.norm.cdf(1.5), abs=0.05)


def test_models_that_look_more_ignorant_than_ignorance_are_given_away() -> None:
    rng = np.random.default_rng(5)
    _, exposed, on_pairs, tpr = hold_against("it", scores(rng, 2, -4), 0.5, CONFIDENCE)
    assert exposed.finding is on_pairs.finding is Finding.BELOW
    assert on_pairs.measured.high < 1 - stats.norm.cdf(0.5 / np.sqrt(2))
    assert tpr.finding is not Finding.ABOVE


def signals(confidence: NDArray[np.float64]) -> Signals:
    return Signals((confidence > 1).astype(float), confidence)


def named(read_outs: tuple[ReadOut, ...]) -> dict[str, Finding]:
    return {one.name: one.finding for one in read_outs}


def test_each_attack_learns_from_the_models_that_it_should() -> None:
    """A model that over-forgets: told by LiRA from below, and by U-LiRA, which knows how."""
    rng = np.random.default_rng(6)
    shadows = Shadows(*(signals(drawn(rng, SHADOWS, mu)) for mu in (4, -4, 0)))
    pairs = Pairs(*(signals(drawn(rng, PAIRS, mu)) for mu in (-4, 0)))
    found = named(read_attacks(shadows, pairs, 0.0, CONFIDENCE))
    assert len(found) == 12
    assert found["entropy: accuracy on pairs"] is Finding.BELOW
    assert found["LiRA: accuracy on pairs"] is Finding.BELOW
    for figure in ("accuracy", "accuracy on pairs", "TPR at 1% FPR"):
        assert found[f"U-LiRA: {figure}"] is Finding.ABOVE


def test_the_same_bits_leave_every_attack_exactly_at_chance() -> None:
    rng = np.random.default_rng(7)
    knowing, never_knew, tried = (
        signals(drawn(rng, n, mu)) for n, mu in ((64, 4), (64, 0), (99, 0))
    )
    found = read_attacks(
        Shadows(knowing, never_knew, never_knew), Pairs(tried, tried), 0.0, CONFIDENCE
    )
    for one in found:
        assert one.measured.value == one.permitted.value
        assert one.finding is Finding.WITHIN
    assert {one.measured.value for one in found if "accuracy" in one.name} == {0.5}


def test_shadows_are_judged_as_strangers_are() -> None:
    """Of models that cannot be told apart, few shadows fare no better than others."""
    rng = np.random.default_rng(8)
    gaps = []
    for _ in range(300):
        inside, outside, forgot, never_knew = rng.normal(size=(4, 12, SAMPLES))
        made = likelihoods(inside, outside, Pairs(signals(forgot), signals(never_knew)))
        gaps.append(
            (
                made.knowing.mean() - made.forgot.mean(),
                made.unknowing.mean() - made.never_knew.mean(),
            )
        )
    assert np.mean(gaps, axis=0) == pytest.approx([0, 0], abs=0.03)


def test_the_most_exposed_of_many_that_are_not_is_not_taken_for_a_leak() -> None:
    rng = np.random.default_rng(9)
    refuted = 0
    for _ in range(60):
        many = Scores(*(rng.normal(0, 1, (n, 40)) for n in (SHADOWS, SHADOWS, PAIRS, PAIRS)))
        refuted += hold_against("it", many, 0.0, 0.9)[1].finding is not Finding.WITHIN
    assert refuted <= stats.binom.ppf(0.999, 60, 0.1)
