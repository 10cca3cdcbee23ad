"""The paper's attack against brute force."""

import numpy as np
import pytest

from unlearning.readouts.entropy import Threshold, held_out, softmax_entropy


def test_entropy_is_that_of_the_softmax() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (20, 5)).astype(np.float32)
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    assert softmax_entropy(logits) == pytest.approx(-(p * np.log(p)).sum(axis=1))


def test_entropy_of_certainty_is_zero_and_of_ignorance_the_logarithm_of_the_classes() -> None:
    entropies = softmax_entropy(np.array([[1e4, 0, 0, 0], [7, 7, 7, 7]], np.float32))
    assert entropies == pytest.approx([0, np.log(4)])


@pytest.mark.parametrize("seed", range(30))
def test_no_threshold_on_either_side_parts_the_values_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive = rng.integers(0, 8, rng.integers(1, 9)).astype(float)  # with ties
    negative = rng.integers(0, 8, rng.integers(1, 9)).astype(float) + rng.integers(-3, 3)

    def accuracy(threshold: Threshold) -> float:
        return float((threshold(positive).mean() + 1 - threshold(negative).mean()) / 2)

    best = max(
        accuracy(Threshold(at, above)) for at in np.arange(-4, 12) + 0.5 for above in (True, False)
    )
    assert accuracy(Threshold.best(positive, negative)) == pytest.approx(best)


def test_a_threshold_lies_midway_between_the_values_it_parts() -> None:
    assert Threshold.best(np.array([0.0, 1]), np.array([2.0, 9])) == Threshold(1.5, above=False)
    assert Threshold.best(np.array([2.0, 9]), np.array([0.0, 1])) == Threshold(1.5, above=True)


def test_values_are_judged_by_thresholds_that_never_saw_them() -> None:
    """On what cannot be told apart the best threshold flatters itself; held out it does not."""
    rng = np.random.default_rng(0)
    flattered, honest = [], []
    for _ in range(400):
        positive, negative = rng.normal(size=(2, 10))
        best = Threshold.best(positive, negative)
        flattered.append((best(positive).mean() + 1 - best(negative).mean()) / 2)
        members, others = held_out(positive, negative)
        honest.append((members.mean() + 1 - others.mean()) / 2)
    assert np.mean(flattered) > 0.65
    assert np.mean(honest) < 0.52


def test_held_out_values_that_can_be_told_apart_are() -> None:
    members, others = held_out(np.arange(7.0), np.arange(20.0, 29))
    assert members.all()
    assert not others.any()


def test_two_values_of_each_are_enough_to_hold_some_out() -> None:
    members, others = held_out(np.array([0.0, 1]), np.array([5.0, 6]))
    assert members.all()
    assert not others.any()
