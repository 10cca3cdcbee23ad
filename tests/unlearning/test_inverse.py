"""The inverse that is kept, against one computed anew and against fractions."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from unlearning.errors import NotSolvableError
from unlearning.inverse import Inverse
from unlearning.statistics import Statistics

Floats = NDArray[np.float64]

RIDGE = 2**24 + 1


def statistics_of(psi: NDArray[np.int16]) -> Statistics:
    statistics = Statistics(psi.shape[1], 1, RIDGE)
    statistics.add(psi, np.zeros((len(psi), 1), np.int64))
    return statistics


def full(statistics: Statistics) -> Floats:
    lower = np.tril(statistics.G.entries())
    G = lower + np.tril(lower, -1).T
    return np.asarray(2 * G + statistics.ridge * np.eye(len(G)))


@pytest.mark.parametrize("settles", [True, False])
@pytest.mark.parametrize("steps", [[1], [1] * 40, [5, 30, 1], [33], [32, 32], [100]])
def test_it_follows_rows_as_they_leave(steps: list[int], settles: bool) -> None:
    rng = np.random.default_rng(0)
    psi = rng.integers(-4000, 4000, (600, 70)).astype(np.int16)
    statistics = statistics_of(psi)
    inverse = Inverse(statistics)
    for k in steps:
        gone, psi = psi[:k], psi[k:]
        statistics.subtract(gone, np.zeros((k, 1), np.int64))
        inverse.remove(gone.astype(np.float64), np.zeros((k, 1)))
        if settles:
            inverse.settle()
    identity = inverse.solve(full(statistics))
    np.testing.assert_allclose(identity, np.eye(70), atol=1e-9)


@pytest.mark.parametrize("k", [1, 2, 30])
def test_it_says_how_far_the_solution_moves_with_the_rows(k: int) -> None:
    """A W = 2B, and the same without the rows: the rows' errors tell the difference."""
    rng = np.random.default_rng(k)
    psi, t = rng.integers(-4000, 4000, (200, 40)), rng.normal(size=(200, 3))
    statistics = statistics_of(psi.astype(np.int16))
    inverse = Inverse(statistics)
    before = np.linalg.solve(full(statistics), 2.0 * psi.T @ t)
    psi, gone, t, missed = psi[k:], psi[:k].astype(np.float64), t[k:], t[:k]
    moved = inverse.remove(gone, missed - gone @ before)
    after = np.linalg.solve(full(statistics_of(psi.astype(np.int16))), 2.0 * psi.T @ t)
    np.testing.assert_allclose(before - moved, after, rtol=1e-9, atol=1e-12 * np.abs(after).max())


def test_for_one_feature_it_is_a_fraction() -> None:
    inverse = Inverse(statistics_of(np.array([[3], [5], [2**14 - 1]], np.int16)))
    moved = inverse.remove(np.array([[5.0]]), np.array([[7.0]]))
    squares = 3**2 + (2**14 - 1) ** 2
    before, after = (Fraction(1, 2 * (squares + more) + RIDGE) for more in (25, 0))
    assert inverse.solve(np.array([[1.0]])).item() == pytest.approx(float(after), rel=1e-14)
    # U S^-1 e, with U = 5 before and S = 1/2 - 25 before
    assert moved.item() == pytest.approx(
        float(5 * before / (Fraction(1, 2) - 25 * before) * 7), rel=1e-14
    )


def test_rows_that_were_never_there_cannot_leave() -> None:
    psi = np.full((1, 3), 2**14)
    inverse = Inverse(statistics_of(psi.astype(np.int16)))
    with pytest.raises(NotSolvableError):
        inverse.remove(np.repeat(psi, 3, axis=0).astype(np.float64), np.zeros((3, 1)))
