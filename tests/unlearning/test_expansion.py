"""Digits gained a step at a time, against the fractions that they are digits of."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unlearning.problems import RIDGES, Floats, Integers, residual_of, rows
from unlearning import gram, rounding
from unlearning.errors import NotSolvableError
from unlearning.expansion import Carried, Expansion
from unlearning.objective import GRID_BITS
from unlearning.reference import rational_solution, rounded_solution
from unlearning.statistics import Statistics
from unlearning.system import System

StatisticsOf = Callable[..., Statistics]

GUESSES = st.lists(
    st.tuples(
        st.sampled_from(["nearest", "nearest", "noisy", "poor", "zero", "any"]),
        st.integers(0, 2**32 - 1),
        st.sampled_from([1, 14, 30]),
    ),
    min_size=1,
    max_size=6,
)


def guess(kind: str, seed: int, exact: Floats) -> Floats:
    rng = np.random.default_rng(seed)
    if kind == "nearest":
        return exact
    if kind == "noisy":
        return np.asarray(exact * rng.uniform(0.999, 1.001, exact.shape))
    if kind == "poor":
        return np.asarray(exact * rng.uniform(0.6, 1.3, exact.shape))
    if kind == "zero":
        return np.zeros_like(exact)
    return np.asarray(rng.normal(size=exact.shape) * 2.0 ** rng.integers(-40, 53))


@given(
    problem=rows(3),
    ridge=RIDGES,
    largest_norm=st.sampled_from([0, gram._LARGEST_NORM]),
    off=st.none() | st.lists(st.integers(-(2**30), 2**30), min_size=9, max_size=9),
    guesses=GUESSES,
)
@settings(max_examples=200)
def test_whatever_is_guessed_the_residual_is_exact_and_what_is_proven_is_true(
    statistics_of: StatisticsOf,
    problem: tuple[Integers, Integers],
    ridge: int,
    largest_norm: int,
    off: list[int] | None,
    guesses: list[tuple[str, int, int]],
) -> None:
    """From zero, or ``off`` the optimum by as much in each entry."""
    psi, t = problem
    A = System.of(statistics_of(psi, t, ridge))
    solution = rational_solution(psi, t, ridge)
    now = Expansion.at_zero(statistics_of(psi, t, ridge))
    if off is not None:
        weights = rounded_solution(psi, t, ridge)
        weights += np.resize(off, weights.shape)
        residual = residual_of(psi, t, ridge, weights)
        if int(np.abs(residual).max()) < 2**61:
            now = Expansion.at(Carried(weights, residual.astype(np.int64), np.zeros(weights.shape)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gram, "_LARGEST_NORM", largest_norm)
        for i, (kind, seed, most) in enumerate(guesses):
            missing = missing_of(solution, now)
            X = guess(kind, seed, missing.astype(np.float64))
            f = now.f
            try:
                now = now.step(A, X, most if f >= 0 else min(most, -f))
            except NotSolvableError:
                assert any(kind != "nearest" for kind, _, _ in guesses[: i + 1])
                return
            assert f < now.f <= (0 if f < 0 else f + most)
            check(psi, t, A, now, solution)


def missing_of(solution: NDArray[Any], now: Expansion) -> NDArray[Any]:
    """A^-1 R, in fractions."""
    weights = now.W.astype(object) * Fraction(2) ** now.f + now.T.astype(object)
    return np.asarray(solution * Fraction(2) ** (GRID_BITS + now.f) - weights)


def check(psi: Integers, t: Integers, A: System, now: Expansion, solution: NDArray[Any]) -> None:
    weights = now.T.astype(object)
    if now.f >= 0:
        weights = weights + (now.W.astype(object) << now.f)
        assert now.R_W.tolist() == residual_of(psi, t, A.ridge, now.W).tolist()
    else:
        assert not now.W.any()
    R = now.R.exact()
    assert R is not None
    assert R.tolist() == residual_of(psi, t, A.ridge, weights, now.f).tolist()
    missing = missing_of(solution, now)
    for c, bound in enumerate(A.distance(now.R.value, now.Y, now.rest)):
        true = sum((missing[a, c] - Fraction(now.Y[a, c])) ** 2 for a in range(len(missing)))
        assert true <= Fraction(bound) ** 2
    if now.f >= 0:
        rounded = rounding._round(A, now)
        proven = rounded.margins > 0
        expected = np.vectorize(round, otypes=[np.int64])(solution * 2**GRID_BITS)
        assert (rounded.weights[:, proven] == expected[:, proven]).all()


def test_columns_go_on_by_themselves(statistics_of: StatisticsOf) -> None:
    psi, t = np.array([[3, 5], [-7, 1]]), np.array([[1, 20, -300], [7, 0, 5]])
    A = System.of(statistics_of(psi, t, 11))
    solution = rational_solution(psi, t, 11)
    together = Expansion.at_zero(statistics_of(psi, t, 11))
    together = together.step(A, missing_of(solution, together).astype(np.float64), 5)
    some = np.array([True, False, True])
    alone = together[some]
    alone = alone.step(A, missing_of(solution[:, some], alone).astype(np.float64), 9)
    check(psi, t[:, some], A, alone, solution[:, some])


def test_digits_of_nothing_have_no_end() -> None:
    empty = Statistics(2, 1, 3)
    A, now = System.of(empty), Expansion.at_zero(empty)
    for most in (30, *[14] * 6):
        now = now.step(A, np.zeros((2, 1)), most)
        if now.f >= 0:
            rounded = rounding._round(A, now)
            assert not rounded.weights.any()
            assert rounded.margins == pytest.approx(0.5)
    assert now.f == 84
