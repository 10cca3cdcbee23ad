"""The inverse that is kept, against one computed anew; the triangle, against a full matrix."""

import numpy as np
import pytest

from unlearning.errors import NotSolvableError
from unlearning.inverse import Inverse
from unlearning.statistics import Statistics
from unlearning.triangle import multiply


def statistics_of(psi: np.ndarray) -> Statistics:
    statistics = Statistics(psi.shape[1], 1, 2**24 + 1)
    statistics.add(psi, np.zeros((len(psi), 1), np.int64))
    return statistics


def full(statistics: Statistics) -> np.ndarray:
    lower = np.tril(statistics.G)
    G = lower + np.tril(lower, -1).T
    return 2 * G + statistics.ridge * np.eye(len(G))


@pytest.mark.parametrize("steps", [[1], [1] * 40, [5, 30, 1], [33], [32, 32], [100]])
def test_it_follows_rows_as_they_leave(steps: list[int]) -> None:
    rng = np.random.default_rng(0)
    psi = rng.integers(-4000, 4000, (600, 70)).astype(np.int16)
    statistics = statistics_of(psi)
    inverse = Inverse(statistics)
    for k in steps:
        gone, psi = psi[:k], psi[k:]
        statistics.subtract(gone, np.zeros((k, 1), np.int64))
        inverse.remove(gone.astype(np.float64))
    identity = inverse.solve(full(statistics))
    np.testing.assert_allclose(identity, np.eye(70), atol=1e-9)


def test_rows_that_were_never_there_cannot_leave() -> None:
    psi = np.full((1, 3), 2**14)
    inverse = Inverse(statistics_of(psi.astype(np.int16)))
    with pytest.raises(NotSolvableError):
        inverse.remove(np.repeat(psi, 3, axis=0).astype(np.float64))


@pytest.mark.parametrize("d", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("C", [1, 7, 300])
def test_a_triangle_multiplies_as_the_symmetric_matrix_it_stands_for(d: int, C: int) -> None:
    rng = np.random.default_rng(d)
    lower = np.tril(rng.integers(-100, 100, (d, d))).astype(float)
    V = rng.integers(-100, 100, (d, C)).astype(float)
    anything_above = np.asfortranarray(lower + np.triu(np.full((d, d), 7.0), 1))
    (product,) = multiply(anything_above, V)
    assert (product == (lower + np.tril(lower, -1).T) @ V).all()
