"""Relearn time against gradient descent on weights, and where it is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from unlearning.readouts.relearning import MOST_STEPS, Relearning

Matrix = NDArray[np.float64]


def relearning(X: Matrix, targets: Matrix, before: Matrix) -> Relearning:
    return Relearning(lambda u: X @ (X.T @ u), targets, before, np.random.default_rng(0))


def descend(X: Matrix, targets: Matrix, weights: Matrix, goal: float) -> int:
    """Steps of gradient descent at 1 / L on 1/2 ||X W - t||^2 until it is at most ``goal``."""
    largest = np.linalg.eigvalsh(X.T @ X).max()
    for step in range(MOST_STEPS):
        residual = X @ weights - targets
        if 0.5 * (residual**2).sum() <= goal:
            return step
        weights = weights - X.T @ residual / largest
    return MOST_STEPS


@pytest.mark.parametrize("seed", range(5))
def test_steps_are_those_of_gradient_descent_on_the_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, targets, start = rng.normal(size=(12, 6)), rng.normal(size=(12, 3)), rng.normal(size=(6, 3))
    solved = np.linalg.solve(X.T @ X + 0.05 * np.eye(6), X.T @ targets)
    expected = descend(X, targets, start, 0.5 * ((X @ solved - targets) ** 2).sum())
    assert expected > 3
    steps = relearning(X, targets, X @ solved).steps(X @ start)
    assert steps == pytest.approx(expected - 0.5, abs=0.5 + 0.1 * expected)


def test_who_has_forgotten_nothing_needs_no_step() -> None:
    X, targets = np.eye(3), np.eye(3)
    assert relearning(X, targets, 0.8 * targets).steps(0.8 * targets) == 0
    assert relearning(X, targets, 0.8 * targets).steps(0.9 * targets) == 0


def test_of_the_last_step_only_the_share_that_was_needed_counts() -> None:
    """With K = 1/2 I all residual is gone after one step: ||r|| falls from 1 to 0 in it."""
    X, targets = np.eye(2) / np.sqrt(2), np.eye(2)
    assert relearning(X, targets, 0.75 * targets).steps(0 * targets) == pytest.approx(0.75)
    assert relearning(X, targets, 0.75 * targets).steps(0.5 * targets) == pytest.approx(0.5)


def test_slow_directions_take_as_many_steps_as_their_eigenvalue_says() -> None:
    """||r|| shrinks by 1 - 1/4 a step, from 1 to 0.75^10."""
    X, targets = np.diag([1.0, 0.5]), np.zeros((2, 1))
    before = np.array([[0.0], [0.75**10 * (1 + 1e-9)]])
    start = np.array([[0.0], [1.0]])
    assert relearning(X, targets, before).steps(start) == pytest.approx(10, abs=0.01)


def test_what_can_never_be_reached_counts_as_the_most() -> None:
    X, targets = np.diag([1.0, 0.0]), np.ones((2, 1))
    assert relearning(X, targets, targets).steps(0 * targets) == MOST_STEPS
