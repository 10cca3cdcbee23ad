"""mu-GDP's closed forms, against quadrature, 60 digits, dp-accounting and simulated attacks."""

from math import exp, inf, log, sqrt

import mpmath
import numpy as np
import pytest
from dp_accounting.gaussian_mechanism import get_epsilon_gaussian
from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from unlearning.gaussian_dp import (
    attack_accuracy,
    attack_tpr,
    compose,
    delta,
    epsilon,
    nats,
    round_up,
)

MUS = [1e-3, 0.1, 0.447, 1.0, 3.0, 8.0]


def exact_delta(eps: float, mu: float) -> mpmath.mpf:
    with mpmath.workprec(400):
        eps, mu = mpmath.mpf(eps), mpmath.mpf(mu)
        near, far = -eps / mu + mu / 2, -eps / mu - mu / 2
        return mpmath.ncdf(near) - mpmath.exp(eps) * mpmath.ncdf(far)


@pytest.mark.parametrize("mu", MUS)
def test_nats_are_the_divergence_of_the_shifted_gaussian(mu: float) -> None:
    def integrand(x: float) -> float:
        return float(norm.pdf(x, mu) * (norm.logpdf(x, mu) - norm.logpdf(x)))

    divergence, _ = quad(integrand, mu - 12, mu + 12)
    assert nats(mu) == pytest.approx(divergence, rel=1e-9)


@pytest.mark.parametrize("mu", MUS)
@pytest.mark.parametrize("eps", [0.0, 0.01, 0.5, 2.0])
def test_delta_is_the_mass_above_a_likelihood_ratio(mu: float, eps: float) -> None:
    where = eps / mu + mu / 2  # the ratio is e^eps there

    def excess(x: float) -> float:
        return float(norm.pdf(x, mu) - exp(eps) * norm.pdf(x))

    mass, _ = quad(excess, where, max(where, mu) + 12, epsabs=1e-14)
    assert delta(eps, mu) == pytest.approx(mass, rel=1e-7, abs=1e-13)


@pytest.mark.parametrize("mu", MUS)
def test_the_best_attack_is_as_right_as_is_said(mu: float) -> None:
    rng = np.random.default_rng(0)
    out, member = rng.normal(size=200_000), rng.normal(mu, size=200_000)
    threshold = mu / 2
    right = ((out < threshold).mean() + (member >= threshold).mean()) / 2
    assert attack_accuracy(mu) == pytest.approx(right, abs=5e-3)
    strict = np.quantile(out, 0.99)
    assert attack_tpr(mu, 0.01) == pytest.approx((member > strict).mean(), abs=1e-2)


def test_a_tenth_of_a_nat_is_still_58_9_percent_right() -> None:
    mu = sqrt(0.2)
    assert 0.588 < attack_accuracy(mu) <= 0.589
    assert attack_tpr(mu, 0.01) == pytest.approx(0.030, abs=5e-4)


@given(
    st.floats(-12, 2.5).map(lambda e: 10.0**e),
    st.floats(0, 1) | st.floats(-3, 30).map(lambda e: 2.0**e),
)
def test_delta_is_never_below_the_truth_and_close_to_it(mu: float, eps: float) -> None:
    truth = exact_delta(eps, mu)
    assert delta(eps, mu) >= truth
    if truth > 1e-300:
        assert delta(eps, mu) <= truth * (1 + 1e-8)


@given(st.floats(-9, 2.5).map(lambda e: 10.0**e), st.floats(-300, -0.01))
def test_epsilon_is_the_least_for_which_delta_holds(mu: float, exponent: float) -> None:
    target = 10.0**exponent
    found = epsilon(target, mu)
    assert exact_delta(found, mu) <= target
    if found:
        assert exact_delta(found * (1 - 1e-7), mu) > target * (1 - 1e-7)


@pytest.mark.parametrize("mu", MUS)
@pytest.mark.parametrize("target", [1e-3, 1e-6, 1e-12])
def test_epsilon_is_that_of_dp_accounting(mu: float, target: float) -> None:
    theirs = get_epsilon_gaussian(1 / mu, target)
    assert epsilon(target, mu) == pytest.approx(theirs, rel=1e-8, abs=1e-10)


def test_a_composition_is_below_that_of_privacy_loss_distributions() -> None:
    """Theirs are discretized pessimistically."""
    one, other = from_gaussian_mechanism(2.0), from_gaussian_mechanism(1.5)
    mu = compose([1 / 2.0, 1 / 1.5])
    for eps in (0.1, 1.0, 3.0):
        theirs = one.compose(other).get_delta_for_epsilon(eps)
        assert 0.999 * theirs <= delta(eps, mu) <= theirs


def test_shifts_add_up_as_the_legs_of_a_right_triangle() -> None:
    assert compose([]) == compose([0.0, 0.0]) == 0
    assert compose([3.0, 4.0]) == pytest.approx(5, rel=1e-11)
    assert compose([3.0, 4.0]) >= 5
    assert compose([1.0, inf]) == inf


@given(st.floats(0, 1e308))
def test_rounding_up_goes_up(value: float) -> None:
    assert round_up(value) > value
    assert round_up(value) <= value * (1 + 2.0**-37) + 1e-323


@pytest.mark.parametrize(
    ("mu", "expected"),
    [
        (0.0, (0.0, 0.5, 0.01, 0.0, 0.0)),
        (inf, (inf, 1.0, 1.0, 1.0, inf)),
        (1e200, (inf, 1.0, 1.0, 1.0, inf)),
    ],
)
def test_nothing_and_everything(mu: float, expected: tuple[float, ...]) -> None:
    told = (nats(mu), attack_accuracy(mu), attack_tpr(mu, 0.01), delta(0.0, mu), epsilon(1e-6, mu))
    assert told == expected


@pytest.mark.parametrize("mu", [5e-324, 1e-300, 1e-20, 1e-9])
def test_the_least_shift_is_not_nothing(mu: float) -> None:
    assert nats(mu) > 0
    assert attack_accuracy(mu) > 0.5
    assert attack_tpr(mu, 0.01) > 0.01
    assert delta(0.0, mu) > 0
    assert delta(1.0, mu) > 0
    assert epsilon(1e-6, mu) == 0


def test_only_an_infinite_epsilon_holds_without_delta() -> None:
    assert epsilon(0.0, 1.0) == inf
    assert epsilon(0.0, 0.0) == 0


@pytest.mark.parametrize("mu", [1e-3, 1.0, 50.0, 1e5])
def test_what_is_told_is_never_below_the_truth(mu: float) -> None:
    with mpmath.workprec(200):
        assert nats(mu) >= mpmath.mpf(mu) ** 2 / 2
        assert attack_accuracy(mu) >= min(1, mpmath.ncdf(mpmath.mpf(mu) / 2))
        quantile = -mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * mpmath.mpf(0.01))
        assert attack_tpr(mu, 0.01) >= mpmath.ncdf(quantile + mu)


def test_a_large_epsilon_is_found_where_float64_has_no_e_to_its_power() -> None:
    assert log(1e308) < 710 < epsilon(1e-6, 40.0)
    assert exact_delta(epsilon(1e-6, 40.0), 40.0) <= 1e-6
