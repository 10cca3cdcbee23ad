"""Exact residuals, and how far a guess is from the truth, against Python's integers."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unlearning.problems import FEATURE, RIDGES, Floats, Integers, rows
from unlearning import gram
from unlearning.gram import GramMatrix
from unlearning.integers import Checked
from unlearning.reference import rational_solution
from unlearning.statistics import Statistics
from unlearning.system import System

StatisticsOf = Callable[..., Statistics]


def subtract_product(R: Integers, s: int, V: Floats, statistics: Statistics) -> Integers | None:
    """2^s R - A V, as a refinement computes it."""
    return ((Checked.of(R) << s) - System.of(statistics).times(V, V[:, :0]).exact).exact()


@pytest.mark.parametrize("times", [1, 2, 3, 64])
def test_a_step_wider_than_one_exact_product_is_exact(
    statistics_of: StatisticsOf, times: int
) -> None:
    d, s, ridge = 129, 30, 2**30 + 1
    statistics = statistics_of(
        np.ones((1, d), int), np.zeros((1, 1), int), ridge, 2**42 - 2**21 + 1
    )
    longest = min((2**53 - 1) // limb.norm for limb in statistics.G.limbs())
    v = times * longest - 1 | 1  # beyond the longest, a sum of more than 53 bits
    true = (2 * d * int(statistics.G.diagonal[0]) + ridge) * v
    R = np.full((d, 1), true >> s)
    result = subtract_product(R, s, np.full((d, 1), float(v)), statistics)
    assert result is not None
    assert set(result.ravel().tolist()) == {((true >> s) << s) - true}


@given(
    R=st.lists(st.integers(-(2**62), 2**62), min_size=2, max_size=2),
    V=st.lists(
        st.one_of(st.integers(-(2**20), 2**20), st.integers(1 - 2**53, 2**53 - 1)),
        min_size=2,
        max_size=2,
    ),
    s=st.integers(0, 30),
    ridge=st.integers(0, 2**52).map(lambda half: 2 * half + 1),
    copies=st.integers(1, 2**24),
    split=st.booleans(),
)
def test_a_residual_step_is_exact_or_refused_and_refused_only_beyond_62_bits(
    statistics_of: StatisticsOf,
    R: list[int],
    V: list[int],
    s: int,
    ridge: int,
    copies: int,
    split: bool,
) -> None:
    statistics = statistics_of([[FEATURE, 1], [3, -FEATURE]], [[0], [0]], ridge, copies)
    if split:
        statistics.G._split(2 * copies * FEATURE**2)
    entries = statistics.G.entries()
    G = [[int(entries[max(a, b), min(a, b)]) for b in range(2)] for a in range(2)]
    exact = [
        (R[a] << s) - 2 * sum(G[a][b] * V[b] for b in range(2)) - ridge * V[a] for a in range(2)
    ]
    given_R, given_V = np.array(R)[:, None], np.array(V, np.float64)[:, None]
    result = subtract_product(given_R, s, given_V, statistics)
    if result is not None:
        assert result[:, 0].tolist() == exact
    else:
        terms = [
            (abs(R[a]) << s) + 4 * sum(abs(G[a][b] * V[b]) for b in range(2)) + ridge * abs(V[a])
            for a in range(2)
        ]
        assert any(
            abs(value) + total / 2**47 >= 2**62 for value, total in zip(exact, terms, strict=True)
        )


def check_distance(A: System, R: Integers, Y: Floats, rest: Floats, exact: NDArray[Any]) -> None:
    """That the bound holds, where ``exact`` is A^-1 R in fractions."""
    off = A.distance(R.astype(np.float64), Y, rest)
    for c, bound in enumerate(off):
        true = sum((exact[a, c] - Fraction(Y[a, c])) ** 2 for a in range(len(Y)))
        assert true <= Fraction(bound) ** 2


def float_residual(A: System, R: Integers, Y: Floats) -> Floats:
    """R - A Y, as a step computes it."""
    return np.asarray(R - A.times(np.zeros_like(Y), Y).rounded)


@given(
    problem=rows(3),
    ridge=RIDGES,
    copies=st.sampled_from([1, 2**10]),
    largest_norm=st.sampled_from([0, gram._LARGEST_NORM]),
    data=st.data(),
)
def test_the_distance_of_any_guess_is_bounded(
    statistics_of: StatisticsOf,
    problem: tuple[Integers, Integers],
    ridge: int,
    copies: int,
    largest_norm: int,
    data: st.DataObject,
) -> None:
    """The nearest guess that float64 has is where its own rounding is all that is left."""
    psi, t = problem
    statistics = statistics_of(psi, t, ridge, copies**2)
    d, C = statistics.B.shape
    exact = rational_solution(psi * copies, t * copies, ridge)
    values = st.floats(-(2.0**50), 2.0**50)
    guess = data.draw(st.lists(values, min_size=d * C, max_size=d * C))
    A, R = System.of(statistics), 2 * statistics.B.astype(np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gram, "_LARGEST_NORM", largest_norm)
        for Y in (np.array(guess).reshape(d, C), exact.astype(np.float64)):
            check_distance(A, R, Y, float_residual(A, R, Y), exact)


def rank_one(psi: Integers, copies: int, ridge: int) -> Statistics:
    statistics = Statistics(len(psi), 1, ridge)
    statistics.G.add(psi[None].astype(np.float64))
    for _ in range(copies.bit_length() - 1):
        twin = GramMatrix(len(psi))
        twin.merge(statistics.G)
        statistics.G.merge(twin)
    return statistics


def rank_one_solution(psi: Integers, copies: int, ridge: int, R: Integers) -> NDArray[Any]:
    """A^-1 R for A = 2 copies psi psi' + L I, after Sherman and Morrison."""
    along = psi.astype(object).dot(R.astype(object))
    squares = int((psi**2).sum())
    shares = [Fraction(2 * copies * entry, ridge + 2 * copies * squares) for entry in along]
    exact = R.astype(object) - psi.astype(object)[:, None] * np.array(shares)
    return np.asarray(exact / Fraction(ridge))


@pytest.mark.parametrize("largest_norm", [0, gram._LARGEST_NORM])
@pytest.mark.parametrize(("d", "copies"), [(3, 2**23), (5, 2**16), (65, 2**18), (300, 2**16)])
@pytest.mark.parametrize("columns", [1, 5])
def test_a_guess_that_float64_takes_for_perfect_is_not_believed_to_be(
    monkeypatch: pytest.MonkeyPatch, d: int, copies: int, columns: int, largest_norm: int
) -> None:
    """R is what float64 says that A Y is, for Y whose product nearly cancels."""
    monkeypatch.setattr(gram, "_LARGEST_NORM", largest_norm)
    rng = np.random.default_rng(d)
    ridge = 2**14 + 1
    psi = rng.integers(-FEATURE, FEATURE, d)
    statistics = rank_one(psi, copies, ridge)
    A = System.of(statistics)
    Y = rng.normal(size=(d, columns)) * 2.0**20
    Y = np.asfortranarray(Y - psi[:, None] * (psi @ Y / (psi @ psi)))
    product = A.times(np.zeros_like(Y), Y).rounded
    R = np.rint(product).astype(np.int64)
    rest = float_residual(A, R, Y)
    assert np.abs(rest).max() <= 0.5
    exact = rank_one_solution(psi, copies, ridge, R)
    check_distance(A, R, Y, rest, exact)
    largest = max(abs(float(exact[a, c]) - Y[a, c]) for a in range(d) for c in range(columns))
    assert largest > 10 * np.sqrt(d) / ridge  # so that the rest alone would not do


@pytest.mark.parametrize("copies", [1, 2**16])
@pytest.mark.parametrize("ridge", [2**13 + 1, 2**40 + 1])
def test_the_nearest_float64_of_a_wide_solution_is_within_its_bound(
    copies: int, ridge: int
) -> None:
    rng = np.random.default_rng(copies)
    psi = rng.integers(-FEATURE, FEATURE, 300)
    A = System.of(rank_one(psi, copies, ridge))
    R = rng.integers(-(2**61), 2**61, (300, 4)) >> np.array([0, 10, 30, 60])
    exact = rank_one_solution(psi, copies, ridge, R)
    Y = exact.astype(np.float64)
    check_distance(A, R, Y, float_residual(A, R, Y), exact)
