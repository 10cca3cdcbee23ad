"""Likelihood ratios against Gaussians that are known."""

import numpy as np
import pytest
from scipy import stats

from unlearning.readouts.lira import confidence, log_likelihood_ratio


def test_confidence_is_the_logit_of_the_labels_softmax() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (20, 5)), rng.integers(0, 5, 20)
    p = np.exp(logits)[np.arange(20), labels] / np.exp(logits).sum(axis=1)
    assert confidence(logits, labels) == pytest.approx(np.log(p / (1 - p)))


def test_confidence_is_finite_where_the_softmax_is_not_below_one() -> None:
    logits = np.array([[900, 0, -900], [0, 900, -900]], np.float32)
    found = confidence(logits, np.array([0, 0]))
    assert found == pytest.approx([900, -900])
    assert logits[0, 0] == 900  # the caller's array is left alone


def test_the_ratio_is_that_of_the_gaussians_of_each_sample() -> None:
    rng = np.random.default_rng(1)
    inside, outside = rng.normal(3, 2, (50, 4)), rng.normal(-1, [1, 2, 3, 4], (60, 4))
    signals = rng.normal(0, 5, (7, 4))
    expected = stats.norm.logpdf(
        signals, inside.mean(axis=0), inside.std(axis=0, ddof=1)
    ) - stats.norm.logpdf(signals, outside.mean(axis=0), outside.std(axis=0, ddof=1))
    assert log_likelihood_ratio(signals, inside, outside) == pytest.approx(expected)


@pytest.mark.parametrize("mu", [0.5, 2.0])
def test_with_many_shadows_the_attack_is_the_best_there_is(mu: float) -> None:
    """Of N(0, 1) and N(mu, 1): log ratio mu x - mu^2 / 2, accuracy Phi(mu / 2)."""
    rng = np.random.default_rng(2)
    inside, outside = rng.normal(mu, 1, (20_000, 1)), rng.normal(0, 1, (20_000, 1))
    signals = rng.normal(0, 1, (20_000, 1))
    ratios = log_likelihood_ratio(signals, inside, outside)
    assert ratios == pytest.approx(mu * signals - mu**2 / 2, abs=0.2)
    true = log_likelihood_ratio(signals + mu, inside, outside) > 0
    accuracy = (true.mean() + 1 - (ratios > 0).mean()) / 2
    assert accuracy == pytest.approx(stats.norm.cdf(mu / 2), abs=0.01)


def test_shadows_that_do_not_vary_tell_what_differs_and_nothing_of_what_does_not() -> None:
    inside, outside = np.full((3, 2), [5.0, 1.0]), np.full((3, 2), [1.0, 1.0])
    ratios = log_likelihood_ratio(np.array([[5.0, 1.0], [1.0, 1.0]]), inside, outside)
    assert np.isfinite(ratios).all()
    assert ratios[0, 0] > 1e6
    assert ratios[1, 0] < -1e6
    assert (ratios[:, 1] == 0).all()
