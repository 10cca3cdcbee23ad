"""What is said of what can still be learned."""

from math import inf, nan, sqrt

import pytest

from unlearning import gaussian_dp
from unlearning.calibration import excess_loss, shift
from unlearning.information import (
    DELTA,
    EXACT_ASSUMPTIONS,
    INVERSE_HESSIAN_ASSUMPTION,
    NEWTON_ASSUMPTION,
    NOISE_ASSUMPTION,
    advice,
    bound,
)
from unlearning.objective import Noise
from unlearning.release import NO_LEAKAGE


def test_the_same_bits_leave_nothing_to_learn_but_by_differencing() -> None:
    bound = NO_LEAKAGE.bound(7)
    assert bound.nats == bound.gaussian_dp == bound.epsilon == bound.delta == 0
    assert bound.attack_accuracy == 0.5
    assert bound.attack_tpr == 0.01
    assert bound.differencing_gaussian_dp == inf
    assert bound.cohort == 7


def test_the_release_before_and_the_core_are_assumed_away_in_words() -> None:
    assert NO_LEAKAGE.bound(1).assumptions == EXACT_ASSUMPTIONS
    for word in ("release before", "core was not trained", "after seeing a release"):
        assert any(word in assumption for assumption in EXACT_ASSUMPTIONS)


def test_all_numbers_follow_from_mu() -> None:
    words = (*EXACT_ASSUMPTIONS, NEWTON_ASSUMPTION, NOISE_ASSUMPTION, INVERSE_HESSIAN_ASSUMPTION)
    told = bound(sqrt(0.2), 3, words, differencing=2.5)
    assert told.nats == pytest.approx(0.1)
    assert (told.gaussian_dp, told.differencing_gaussian_dp) == (sqrt(0.2), 2.5)
    assert 0.588 < told.attack_accuracy <= 0.589
    assert told.attack_tpr == pytest.approx(0.030, abs=5e-4)
    assert told.delta == DELTA
    assert gaussian_dp.delta(told.epsilon, sqrt(0.2)) <= DELTA
    assert told.epsilon == pytest.approx(1.9944, abs=1e-3)
    assert (told.cohort, told.assumptions) == (3, words)


@pytest.mark.parametrize("mu", [inf, nan, -1.0])
def test_what_is_no_number_tells_all(mu: float) -> None:
    told = bound(mu, 1, ())
    assert (told.nats, told.gaussian_dp, told.epsilon) == (inf, inf, inf)
    assert (told.attack_accuracy, told.attack_tpr, told.delta) == (1.0, 1.0, DELTA)


@pytest.mark.parametrize("noise", list(Noise))
def test_without_noise_it_is_said_which_would_help_and_what_it_costs(noise: Noise) -> None:
    words = advice(noise, gradient_norm=1.234e-4, ridge=0.5, trace=1e6)
    assert noise in words
    scale = float(words.split("noise_scale ")[1].split()[0])
    cost = float(words.split("add ")[1].split()[0])
    assert gaussian_dp.nats(shift(noise, 1.234e-4, 0.5, scale)) <= 0.1
    assert gaussian_dp.nats(shift(noise, 1.234e-4, 0.5, scale * 0.9)) > 0.1
    assert excess_loss(scale, 1e6) <= cost <= 1.1 * excess_loss(scale, 1e6)
