"""Conjugate gradients against dense solves, in systems kind and unkind."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unlearning import cg
from unlearning.errors import NotSolvableError

Floats = NDArray[np.float64]


@dataclass
class Matrix:
    """A matrix, multiplied in the precision it is held in."""

    A: NDArray[Any]

    def times(self, v: Floats) -> Floats:
        return (self.A @ v.astype(self.A.dtype)).astype(np.float64)


@dataclass
class Inverse:
    A: Floats
    sign: float = 1.0

    def solve(self, r: Floats) -> Floats:
        return self.sign * np.linalg.solve(self.A, r)


def definite(eigenvalues: Any, seed: int = 0) -> Floats:
    eigenvalues = np.asarray(eigenvalues, float)
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.normal(size=(len(eigenvalues),) * 2))[0]
    return (Q * eigenvalues) @ Q.T


def power_law(p: int, decay: float, condition: float) -> Floats:
    return definite(np.arange(1.0, p + 1) ** -decay + 1 / condition)


def to(relative: float, b: Floats) -> cg.Measure:
    return lambda _, r: (float(np.linalg.norm(r)), relative * float(np.linalg.norm(b)))


def solve(A: Floats, b: Floats, relative: float = 1e-9, **options: Any) -> cg.Solution:
    options = {"fast": Matrix(A.astype(np.float32)), "start": np.zeros(len(b)), **options}
    return cg.solve(precise=Matrix(A), b=b, measure=to(relative, b), **options)


def true_residual(A: Floats, b: Floats, x: Floats) -> float:
    extended = np.longdouble
    return float(np.linalg.norm((b.astype(extended) - A.astype(extended) @ x).astype(float)))


@pytest.mark.parametrize("decay", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("condition", [1e1, 1e3, 1e5, 1e6])
def test_the_true_residual_is_as_small_as_asked_for_beyond_what_float32_has(
    decay: float, condition: float
) -> None:
    A = power_law(200, decay, condition)
    rng = np.random.default_rng(1)
    b, start = A @ rng.normal(size=200), rng.normal(size=200)
    for x0 in (np.zeros(200), start):
        solution = solve(A, b, 1e-10, start=x0)
        residual = true_residual(A, b, solution.value)
        assert residual <= 1.001e-10 * np.linalg.norm(b)
        assert solution.distance == pytest.approx(residual, rel=1e-3)
        error = np.linalg.norm(solution.value - np.linalg.solve(A, b))
        assert error <= 1.01 * residual / np.linalg.eigvalsh(A)[0] + 1e-9


def test_one_run_in_float32_alone_would_not_have_got_there() -> None:
    A = power_law(200, 1.0, 1e5)
    b = A @ np.random.default_rng(1).normal(size=200)
    fast = Matrix(A.astype(np.float32))
    claimed = cg.solve(fast, fast, b, np.zeros(200), to(1e-5, b))
    assert true_residual(A, b, claimed.value) > 1e-8 * np.linalg.norm(b)


def test_a_good_preconditioner_needs_fewer_iterations_and_finds_the_same() -> None:
    A = power_law(200, 1.0, 1e5)
    b = A @ np.random.default_rng(2).normal(size=200)
    without = solve(A, b)
    near = Inverse(A + definite(1e-4 * np.arange(200), seed=3))
    helped = solve(A, b, preconditioner=near)
    assert helped.iterations < without.iterations / 2
    assert solve(A, b, preconditioner=Inverse(A)).iterations <= 4
    assert np.linalg.norm(helped.value - without.value) < 2e-9 * 1e5 * np.linalg.norm(b)


def test_where_there_is_nothing_left_to_do_nothing_is_done() -> None:
    A = power_law(20, 1.0, 1e3)
    assert solve(A, np.zeros(20)).iterations == 0
    b = A @ np.ones(20)
    solution = solve(A, b, start=np.ones(20))
    assert (solution.value == 1).all()
    assert solution.iterations == 0


@pytest.mark.parametrize(
    "fast",
    [
        lambda A: 1e3 * A,
        lambda A: -A,
        lambda A: A * np.nan,
        lambda A: A + definite(np.ones(len(A)), seed=5),
        lambda A: A @ definite(np.arange(1.0, len(A) + 1), seed=6),
    ],
    ids=["too large", "negative", "not a number", "far off", "not symmetric"],
)
def test_fast_products_that_are_of_no_use_cost_time_but_no_accuracy(
    fast: Callable[[Floats], Floats],
) -> None:
    A = power_law(60, 1.0, 1e3)
    b = A @ np.random.default_rng(4).normal(size=60)
    solution = solve(A, b, fast=Matrix(fast(A)))
    assert true_residual(A, b, solution.value) <= 1.001e-9 * np.linalg.norm(b)


def test_a_condition_beyond_float32_is_solved_in_float64() -> None:
    A = definite(np.geomspace(1e-10, 1, 12))
    b = A @ np.random.default_rng(7).normal(size=12)
    solution = solve(A, b, 1e-11)
    assert true_residual(A, b, solution.value) <= 1.1e-11 * np.linalg.norm(b)


def test_what_float64_cannot_reach_is_refused_with_the_residual_reached() -> None:
    A = definite(np.geomspace(1e-6, 1, 40))
    b = np.random.default_rng(8).normal(size=40)
    with pytest.raises(NotSolvableError, match=r"residual is \S+e-\d+ where 0 is needed.*ridge"):
        solve(A, b, 0.0)


def test_the_number_of_iterations_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    A = power_law(200, 1.0, 1e5)
    b = A @ np.ones(200)
    needed = solve(A, b).iterations
    monkeypatch.setattr(cg, "MOST_ITERATIONS", needed)
    assert solve(A, b).iterations == needed
    monkeypatch.setattr(cg, "MOST_ITERATIONS", needed // 2)
    with pytest.raises(NotSolvableError, match=f"{needed // 2} iterations did not suffice"):
        solve(A, b)


def test_a_run_is_interrupted_to_look_at_the_true_residual(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fast products may never come to an end of their own."""
    monkeypatch.setattr(cg, "_LONGEST_RUN", 100)
    A = power_law(100, 1.0, 1e4)
    b = A @ np.ones(100)
    skew = np.triu(np.ones((100, 100)), 1)
    solution = solve(A, b, fast=Matrix(A + skew - skew.T))
    assert true_residual(A, b, solution.value) <= 1.001e-9 * np.linalg.norm(b)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["A", "b", "start"])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_not_finite_is_refused(where: str, value: float) -> None:
    given = {"A": power_law(10, 1.0, 10.0), "b": np.ones(10), "start": np.ones(10)}
    given[where].flat[3] = value
    with pytest.raises(NotSolvableError, match="not finite"):
        solve(**given)


@pytest.mark.parametrize("sign", [-1.0, 0.0, np.nan])
def test_a_preconditioner_that_is_not_definite_is_of_no_use(sign: float) -> None:
    A = power_law(10, 1.0, 10.0)
    with pytest.raises(NotSolvableError, match="no longer gets smaller"):
        solve(A, np.ones(10), preconditioner=Inverse(A, sign))


def test_progress_is_told_once_an_iteration() -> None:
    A = power_law(50, 1.0, 1e3)
    told: list[tuple[int, float]] = []
    solution = solve(A, A @ np.ones(50), progress=lambda *news: told.append(news))
    assert [iteration for iteration, _ in told] == list(range(1, solution.iterations + 1))
    assert 0 < told[-1][1] <= 1e-9
    assert told[0][1] == pytest.approx(1.0, abs=1.0)


def test_whatever_stop_raises_ends_it_and_leaves_the_start_alone() -> None:
    class StoppedError(Exception):
        pass

    calls = []

    def stop() -> None:
        calls.append(None)
        if len(calls) == 5:
            raise StoppedError

    A, start = power_law(50, 1.0, 1e3), np.ones(50)
    with pytest.raises(StoppedError):
        solve(A, np.arange(50.0), start=start, stop=stop)
    assert len(calls) == 5
    assert (start == 1).all()


@given(
    st.lists(st.floats(-12, 12), min_size=1, max_size=6),
    st.integers(0, 2**16),
    st.floats(-12, 0),
    st.booleans(),
)
@settings(max_examples=150)
def test_it_is_solved_or_refused_but_never_wrong(
    exponents: list[float], seed: int, relative: float, starts_at_zero: bool
) -> None:
    A = definite(10.0 ** np.array(exponents), seed)
    rng = np.random.default_rng(seed)
    b, start = rng.normal(size=len(A)), rng.normal(size=len(A))
    try:
        solution = solve(A, b, 10.0**relative, start=0 * start if starts_at_zero else start)
    except NotSolvableError:
        assert np.linalg.cond(A) > 1e6 or relative < -9
        return
    size = np.linalg.norm(A) * np.linalg.norm(solution.value) + np.linalg.norm(b)
    allowed = 10.0**relative * np.linalg.norm(b) + 1e-14 * size
    assert true_residual(A, b, solution.value) <= allowed
