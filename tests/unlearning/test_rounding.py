"""Correct rounding against rational arithmetic, whatever the inverse and however near a tie."""

from collections.abc import Callable
from fractions import Fraction
from itertools import count
from math import isqrt, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from tests.unlearning.problems import (
    FEATURE,
    RIDGES,
    TARGET,
    Floats,
    Integers,
    residual_of,
    rows,
)
from unlearning import gram, rounding
from unlearning.errors import CapacityError, InconsistentStateError, NotSolvableError
from unlearning.expansion import Carried, Expansion
from unlearning.gram import GramMatrix
from unlearning.integers import Checked
from unlearning.inverse import ApproximateInverse
from unlearning.inverse import Inverse as KeptInverse
from unlearning.lattice import TARGETS
from unlearning.magnitude import at_least
from unlearning.objective import GRID_BITS, Objective
from unlearning.reference import rational_solution, rounded_solution
from unlearning.rounding import Solution, check, solve, without
from unlearning.statistics import Statistics
from unlearning.system import System

StatisticsOf = Callable[..., Statistics]
GramOf = Callable[[Any], GramMatrix]


class Inverse:
    """An inverse that does as it is told."""

    def __init__(self, answer: Callable[[Floats], Floats]) -> None:
        self.solve = answer


def scaled_up(
    statistics_of: StatisticsOf, psi: Integers, t: Integers, ridge: int, spare: int
) -> tuple[Statistics, Integers, Integers]:
    """As many copies as fit, less 4^spare, and the rows whose sums are the same."""
    squares = int((psi**2).sum()) + int((t**2).max(initial=1))
    for power in range((53 - squares.bit_length()) // 2, -1, -1):
        statistics = statistics_of(psi, t, ridge, copies=4**power)
        try:
            statistics.check_capacity(psi[:0], t[:0])
        except CapacityError:
            continue
        power = max(0, power - spare)
        return statistics_of(psi, t, ridge, 4**power), psi << power, t << power
    assume(condition=False)
    raise AssertionError


@given(problem=rows(), ridge=RIDGES, spare=st.sampled_from([0, 0, 1, 5, 26]))
@settings(max_examples=200)
def test_weights_are_the_rational_optimum_rounded_and_the_residual_is_theirs(
    statistics_of: StatisticsOf, problem: tuple[Integers, Integers], ridge: int, spare: int
) -> None:
    statistics, psi, t = scaled_up(statistics_of, *problem, ridge, spare)
    solution = solve(statistics, KeptInverse(statistics))
    assert solution.weights.tolist() == rounded_solution(psi, t, ridge).tolist()
    assert solution.residual.tolist() == residual_of(psi, t, ridge, solution.weights).tolist()


@pytest.mark.parametrize("ridge", [1, 2**30 + 1])
def test_an_ill_conditioned_dozen_of_features_is_rounded_correctly(
    statistics_of: StatisticsOf, ridge: int
) -> None:
    rng = np.random.default_rng(3)
    psi = rng.integers(-FEATURE, FEATURE, (30, 12))
    psi[:, 6:] = psi[:, :6] + rng.integers(-1, 2, (30, 6))
    t = rng.integers(-TARGET // 16, TARGET // 16, (30, 2))
    statistics = statistics_of(psi, t, ridge)
    weights = solve(statistics, KeptInverse(statistics)).weights
    assert (weights == rounded_solution(psi, t, ridge)).all()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("ridge", [2**13 + 1, 2**30 + 1, 2**50 + 1])
def test_a_wide_problem_with_a_known_optimum_is_rounded_correctly(
    statistics_of: StatisticsOf, ridge: int, threads: int
) -> None:
    d, goal = 300, 60_000
    psi = np.random.default_rng(d).integers(-FEATURE, FEATURE, (1, d), endpoint=True)
    squares = int((psi**2).sum())
    copies = min(((ridge << 40) - ridge) // (2 * squares), 2**22)
    with threadpool_limits(threads, "blas"):
        statistics = statistics_of(psi, [[goal, -1]], ridge, copies)
        statistics.check_capacity(psi[:0], np.zeros((0, 2), np.int64))
        weights = solve(statistics, KeptInverse(statistics)).weights
    # Sherman and Morrison: A = 2 copies psi psi' + L I
    unit = Fraction(2 * copies << GRID_BITS, ridge + 2 * copies * squares)
    expected = [[round(unit * int(p) * t) for t in (goal, -1)] for p in psi[0]]
    assert weights.tolist() == expected


def test_no_rows_and_no_targets_give_zero(statistics_of: StatisticsOf) -> None:
    empty = Statistics(3, 2, 1)
    targetless = statistics_of([[FEATURE, 1, -3]], [[0, 0]], 1)
    for statistics in (empty, targetless):
        solution = solve(statistics, KeptInverse(statistics))
        assert not solution.weights.any()
        assert not solution.residual.any()


def near_tie(
    statistics_of: StatisticsOf, ridge: int, copies: int, side: int
) -> tuple[Statistics, Fraction]:
    """A single weight as near a half-integer as any can be, and its exact value.

    The weight is 2^31 B / A, and is k + 1/2 + side / 2A where 2^31 B = (A + side) / 2 mod A.
    """
    A = 2 * (copies * FEATURE**2 + 1) + ridge
    B = (A + side) // 2 * pow(2 ** (GRID_BITS + 1), -1, A) % A
    B -= A if 2 * B > A else 0
    high, low = divmod(B, FEATURE)
    each, more = divmod(high, copies)
    statistics = statistics_of([[FEATURE]], [[each]], ridge, copies - more)
    statistics.merge(statistics_of([[FEATURE]], [[each + 1]], ridge, more))
    statistics.add(np.array([[1]]), np.array([[low]]))
    assert int(statistics.B[0, 0]) == B
    return statistics, Fraction(B << (GRID_BITS + 1), A)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("ridge", "copies"), [(1, 1), (3, 77), (1, 2**11 - 1), (2**14 + 1, 2**24), (2**45 + 1, 2**20)]
)
def test_the_nearest_ties_are_rounded_correctly(
    statistics_of: StatisticsOf, ridge: int, copies: int, side: int
) -> None:
    statistics, exact = near_tie(statistics_of, ridge, copies, side)
    distance = exact % 1 - Fraction(1, 2)
    A = 2 * int(statistics.G.entries()[0, 0]) + ridge
    assert distance == Fraction(side, 2 * A)
    assert solve(statistics, KeptInverse(statistics)).weights.tolist() == [[round(exact)]]


def test_a_tie_that_a_poor_inverse_finds_late_takes_longer_integers(
    statistics_of: StatisticsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[tuple[int, np.dtype[Any]]] = []
    rounded = rounding._round

    def watched(system: System, now: Expansion) -> Any:
        reached.append((now.f, now.T.dtype))
        return rounded(system, now)

    monkeypatch.setattr(rounding, "_round", watched)
    for side in (1, -1):
        statistics, exact = near_tie(statistics_of, 1, 2**11 - 1, side)
        good = KeptInverse(statistics)
        poor = Inverse(lambda R, good=good: 0.99 * good.solve(R))  # type: ignore[misc]
        assert solve(statistics, poor).weights.tolist() == [[round(exact)]]
        f, dtype = reached[-1]
        assert f > 60
        assert dtype.kind == "O"


@given(copies=st.integers(1, 2**11 - 1), ridge=st.integers(0, 2**20), side=st.sampled_from([1, -1]))
@settings(max_examples=60)
def test_a_near_tie_beside_other_features_is_rounded_correctly(
    statistics_of: StatisticsOf, gram_of: GramOf, copies: int, ridge: int, side: int
) -> None:
    ridge = 2 * ridge + 1
    tie, exact = near_tie(statistics_of, ridge, copies, side)
    beside = np.array([[0, 5, FEATURE], [0, -FEATURE, FEATURE - 1], [0, 3, 3]])
    goals = np.array([[1, 7], [TARGET, -5], [2, 2]])
    statistics = Statistics(3, 2, ridge)
    statistics.add(beside, goals)
    G = statistics.G.entries()
    G[0, 0], statistics.B[0, 1] = tie.G.entries()[0, 0], tie.B[0, 0]
    statistics.G = gram_of(G)
    expected = rounded_solution(beside, goals, ridge)
    expected[0, 1] = round(exact)
    weights = solve(statistics, KeptInverse(statistics)).weights
    assert weights.tolist() == expected.tolist()


def test_an_even_ridge_allows_ties_which_are_refused(statistics_of: StatisticsOf) -> None:
    even = 2**32 - 2 * FEATURE**2  # A = 2^32 and the weight is B / 2
    statistics = statistics_of([[FEATURE]], [[0]], even)
    statistics.B[0, 0] = 1
    with pytest.raises(NotSolvableError, match="no proof"):
        solve(statistics, KeptInverse(statistics))


def solved_or_refused(statistics: Statistics, inverse: ApproximateInverse) -> Solution | None:
    try:
        return solve(statistics, inverse)
    except NotSolvableError:
        return None


@pytest.mark.parametrize("ridge", [2**10 + 1, 2**29 + 1])
@pytest.mark.parametrize("history", ["erased", "added"])
def test_a_stale_inverse_gives_the_same_bits_or_none(
    statistics_of: StatisticsOf, ridge: int, history: str
) -> None:
    rng = np.random.default_rng(11)
    psi = rng.integers(-FEATURE, FEATURE, (40, 5))
    t = rng.integers(-TARGET, TARGET, (40, 2))
    now, steps = (40, range(1, 40)) if history == "added" else (20, range(40, 20, -1))
    expected = rounded_solution(psi[:now], t[:now], ridge)
    statistics = statistics_of(psi[:now], t[:now], ridge)
    solved = []
    for held in steps:
        solution = solved_or_refused(
            statistics, KeptInverse(statistics_of(psi[:held], t[:held], ridge))
        )
        assert solution is None or (solution.weights == expected).all()
        solved.append(solution is not None)
    assert solved[-1]  # a single row's difference is no reason to refuse


def test_how_stale_an_inverse_was_cannot_be_told_from_the_residual(
    statistics_of: StatisticsOf,
) -> None:
    rng = np.random.default_rng(12)
    psi, t = rng.integers(-FEATURE, FEATURE, (60, 4)), rng.integers(-TARGET, TARGET, (60, 1))
    statistics = statistics_of(psi[:40], t[:40], 2**29 + 1)
    stale = [KeptInverse(statistics_of(psi[:held], t[:held], 2**29 + 1)) for held in (40, 45, 60)]
    solutions = [solve(statistics, inverse) for inverse in stale]
    assert len({solution.steps for solution in solutions}) > 1
    assert len({solution.residual.tobytes() for solution in solutions}) == 1
    assert len({solution.weights.tobytes() for solution in solutions}) == 1


def garbage(kind: str, good: KeptInverse, d: int) -> Inverse:
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(d, d))
    orthogonal = np.linalg.qr(matrix)[0]
    calls = count()
    answers: dict[str, Callable[[Floats], Floats]] = {
        "zero": np.zeros_like,
        "negated": lambda R: -good.solve(R),
        "doubled": lambda R: 2 * good.solve(R),
        "nearly doubled": lambda R: 1.99 * good.solve(R),
        "halved": lambda R: good.solve(R) / 2,
        "scaled by 2^40": lambda R: good.solve(R) * 2.0**40,
        "scaled by 2^-40": lambda R: good.solve(R) * 2.0**-40,
        "scaled by 2^-1000": lambda R: good.solve(R) * 2.0**-1000,
        "nan": lambda R: np.full_like(R, np.nan),
        "one nan": lambda R: np.where(np.arange(d)[:, None] == 0, np.nan, good.solve(R)),
        "infinite": lambda R: np.full_like(R, np.inf),
        "largest float": lambda R: np.full_like(R, np.finfo(float).max),
        "least float": lambda R: np.full_like(R, 5e-324),
        "constant": np.ones_like,
        "identity": lambda R: R,
        "random": lambda R: matrix @ R,
        "random each time": lambda R: rng.normal(size=R.shape) * np.abs(R).max(),
        "random and small": lambda R: matrix @ R * 2.0**-50,
        "rotated": lambda R: orthogonal @ good.solve(R),
        "rows reversed": lambda R: good.solve(R)[::-1],
        "one feature forgotten": lambda R: np.where(np.arange(d)[:, None], good.solve(R), 0.0),
        "half precision": lambda R: np.ldexp(np.rint(np.ldexp(good.solve(R), 4)), -4),
        "noisy": lambda R: good.solve(R) * rng.uniform(0.7, 1.3, R.shape),
        "zero at first": lambda R: good.solve(R) * (next(calls) > 0),
        "wrong at first": lambda R: good.solve(R) * (1 if next(calls) > 1 else 3),
        "negated every third time": lambda R: good.solve(R) * (-1 if next(calls) % 3 == 1 else 1),
        "zero in the end": lambda R: good.solve(R) * (next(calls) < 2),
    }
    return Inverse(answers[kind])


KINDS = [
    "zero", "negated", "doubled", "nearly doubled", "halved", "scaled by 2^40", "scaled by 2^-40",
    "scaled by 2^-1000", "nan", "one nan", "infinite", "largest float", "least float", "constant",
    "identity", "random", "random each time", "random and small", "rotated", "rows reversed",
    "one feature forgotten", "half precision", "noisy", "zero at first", "wrong at first",
    "negated every third time", "zero in the end",
]  # fmt: skip


@pytest.mark.parametrize("ridge", [1, 2**20 + 1, 2**40 + 1])
@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_inverse_gives_the_same_bits_or_none(
    statistics_of: StatisticsOf, kind: str, ridge: int
) -> None:
    rng = np.random.default_rng(9)
    for d, copies in ((1, 1), (3, 1), (3, 4**3)):
        psi, t = rng.integers(-FEATURE, FEATURE, (5, d)), rng.integers(-999, 999, (5, 2))
        t[0] |= 1
        statistics = statistics_of(psi, t, ridge, copies)
        statistics.check_capacity(psi[:0], t[:0])
        expected = solve(statistics, KeptInverse(statistics))
        scale = isqrt(copies)
        assert (expected.weights == rounded_solution(psi * scale, t * scale, ridge)).all()
        solution = solved_or_refused(statistics, garbage(kind, KeptInverse(statistics), d))
        assert solution is None or (solution.weights == expected.weights).all()
        assert solution is None or (solution.residual == expected.residual).all()


@given(
    problem=rows(3),
    ridge=RIDGES,
    answers=st.lists(st.floats(width=32), min_size=9, max_size=9),
    exponent=st.integers(-60, 60),
)
@settings(max_examples=200)
def test_any_matrix_for_an_inverse_gives_the_same_bits_or_none(
    statistics_of: StatisticsOf,
    problem: tuple[Integers, Integers],
    ridge: int,
    answers: list[float],
    exponent: int,
) -> None:
    psi, t = problem
    d = psi.shape[1]
    matrix = np.array(answers).reshape(3, 3)[:d, :d] * 2.0**exponent
    statistics = statistics_of(psi, t, ridge)

    def answer(R: Floats) -> Floats:
        with np.errstate(all="ignore"):
            return np.asarray(matrix @ R)

    solution = solved_or_refused(statistics, Inverse(answer))
    expected = rounded_solution(psi, t, ridge)
    assert solution is None or solution.weights.tolist() == expected.tolist()


@pytest.mark.parametrize("kind", ["zero", "doubled", "nan", "infinite", "constant", "one nan"])
def test_an_inverse_that_gains_no_digit_is_refused(statistics_of: StatisticsOf, kind: str) -> None:
    statistics = statistics_of([[FEATURE, 3], [1, FEATURE]], [[TARGET], [77]], 3)
    with pytest.raises(NotSolvableError):
        solve(statistics, garbage(kind, KeptInverse(statistics), 2))


def test_a_weight_wider_than_one_exact_product_is_solved(statistics_of: StatisticsOf) -> None:
    d, ridge, goal = 256, 2**13 + 1, TARGET
    constant, rare = np.zeros((2, 1, d), np.int64)
    constant[0, -1], rare[0, 0] = FEATURE, 1
    statistics = statistics_of(constant, [[0]], ridge, 2**24)
    statistics.merge(statistics_of(rare, [[goal]], ridge, 2**13))
    statistics.check_capacity(constant[:0], np.zeros((0, 1), np.int64))
    exact = Fraction(goal * 2**13 << (GRID_BITS + 1), 2 * 2**13 + ridge)
    assert exact > longest_digit(statistics)
    solution = solve(statistics, KeptInverse(statistics))
    assert solution.weights[:, 0].tolist() == [round(exact)] + [0] * (d - 1)


def longest_digit(statistics: Statistics) -> int:
    """Longer integers take more than one product."""
    return (2**53 - 1) // max(limb.norm for limb in statistics.G.limbs())


def test_the_distance_is_bounded_by_the_length_of_the_residual_not_its_largest_entry(
    gram_of: GramOf,
) -> None:
    d, f, ridge = 4, 14, 2**30 + 1
    A = (2**33 + ridge * np.eye(d, dtype=np.int64)).astype(object)  # 2G is constant
    inverse = np.linalg.inv(A.astype(float))
    largest = 1000 * ridge
    # A^-1 R has an entry half as large again as max|R| / L, and shorter than ||R|| / L.
    error = np.rint(inverse @ np.array([largest, -largest, -largest, -largest])).astype(np.int64)
    T = np.array([2 ** (f - 1) + 100, 0, 0, 0])[:, None] - error[:, None]
    R = A.dot(error[:, None].astype(object)).astype(np.int64)
    zeros = np.zeros((d, 1), np.int64)
    statistics = Statistics(d, 1, ridge)
    statistics.G = gram_of(np.full((d, d), 2**32))
    Y = np.zeros((d, 1))
    state = Expansion(zeros, zeros, T, Checked.of(R), f, Y, R.astype(float))
    # 2^g W* is 1/2 + 100 / 2^f in the first entry, so rounds to 1, but T says 0.
    assert (int(T[0, 0]) + 2 ** (f - 1)) >> f == 0
    assert int(np.abs(R).max()) / ridge < abs(int(T[0, 0]) - 2 ** (f - 1))
    system = System.of(statistics)
    assert rounding._round(system, state).margins <= 0


@given(problem=rows(3), ridge=st.floats(-27, 20))
@settings(max_examples=60)
def test_the_report_gives_the_rational_gradient_and_bounds_the_rational_distance(
    statistics_of: StatisticsOf,
    objective_of: Callable[..., Objective],
    problem: tuple[Integers, Integers],
    ridge: float,
) -> None:
    psi, t = problem
    objective = objective_of(width=psi.shape[1], classes=t.shape[1], ridge=2.0**ridge)
    solution = solve(*(lambda s: (s, KeptInverse(s)))(statistics_of(psi, t, objective.ridge)))
    report = solution.report(objective)

    real = np.vectorize(Fraction, otypes=[object])
    rows, goals = psi * real(objective.features.step), t * real(TARGETS.step)
    weights = real(objective.weights(solution.weights))
    lam = Fraction(objective.ridge, 2) * Fraction(objective.features.step) ** 2
    gradient = rows.T.dot(rows.dot(weights) - goals) + lam * weights
    exact = sqrt((gradient**2).sum())
    assert exact <= report.gradient_norm <= 10.001 * exact
    assert at_least(report.gradient_norm) == report.gradient_norm

    unit = Fraction(TARGETS.step) / Fraction(objective.features.step)
    optimum = rational_solution(psi, t, objective.ridge) * unit
    assert Fraction(report.distance_bound) ** 2 >= ((weights - optimum) ** 2).sum()
    most = Fraction(float(objective.weight_unit)) ** 2 / 4 * weights.size
    assert most <= Fraction(report.distance_bound) ** 2 <= most * (1 + Fraction(2) ** -28)
    assert report.correctly_rounded
    assert report.solver == "exact"


@pytest.mark.parametrize(("guess", "proven"), [(0.4, False), (0.45, False), (0.515, True)])
def test_before_the_first_digit_of_the_fraction_a_guess_is_believed_no_further_than_it_is_off(
    guess: float, proven: bool
) -> None:
    ridge = 1001
    zeros, R = np.zeros((1, 1), np.int64), np.array([[521]])  # A = L: the truth is 0.5205
    Y = np.array([[guess]])
    state = Expansion(zeros, R, zeros, Checked.of(R), 0, Y, R - ridge * Y)
    rounded = rounding._round(System.of(Statistics(1, 1, ridge)), state)
    assert bool(rounded.margins > 0) == proven
    assert not proven or rounded.weights == 1


@given(
    problem=rows(3),
    ridge=RIDGES,
    largest_norm=st.sampled_from([0, gram._LARGEST_NORM]),
    off=st.lists(st.integers(-(2**40), 2**40), min_size=9, max_size=9),
    factor=st.sampled_from([1.0, 0.999, 0.7, 1.9]),
    missing=st.lists(st.floats(allow_nan=True, width=32), min_size=9, max_size=9),
    believed=st.booleans(),
)
@settings(max_examples=200)
def test_whatever_is_carried_gives_the_same_bits_or_none(
    statistics_of: StatisticsOf,
    problem: tuple[Integers, Integers],
    ridge: int,
    largest_norm: int,
    off: list[int],
    factor: float,
    missing: list[float],
    believed: bool,
) -> None:
    """Weights that are ``off``, with their residual, and anything for what they miss."""
    psi, t = problem
    statistics = statistics_of(psi, t, ridge)
    expected = rounded_solution(psi, t, ridge)
    weights = expected + np.resize(off, expected.shape)
    residual = residual_of(psi, t, ridge, weights)
    assume(int(np.abs(residual).max()) < 2**61)
    good = KeptInverse(statistics)
    guess = np.resize(missing, weights.shape)
    if believed:
        guess = good.solve(residual.astype(np.float64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gram, "_LARGEST_NORM", largest_norm)
        try:
            inverse = Inverse(lambda R: factor * good.solve(R))
            carried = Carried(weights, residual.astype(np.int64), np.asfortranarray(guess))
            solution = solve(statistics, inverse, Expansion.at(carried))
        except NotSolvableError:
            assert not believed or factor > 1
            return
    assert solution.weights.tolist() == expected.tolist()
    assert solution.residual.tolist() == residual_of(psi, t, ridge, expected).tolist()
    check_missing(solution, rational_solution(psi, t, ridge), 1 + max(map(abs, off)))


def check_missing(solution: Solution, exact: Any, moved: int = 1) -> None:
    """The truth is no farther from what is carried than the next half-integer is.

    The float64 of what has ``moved`` is all that gets lost.
    """
    missing = exact * 2**GRID_BITS - solution.weights
    error = np.abs(missing.astype(np.float64) - solution.carried.missing)
    assert (error <= 0.5 - np.abs(solution.carried.missing) + 2.0**-50 * moved).all()


@given(problem=rows(3), ridge=RIDGES)
def test_what_the_weights_miss_is_carried_with_them(
    statistics_of: StatisticsOf, problem: tuple[Integers, Integers], ridge: int
) -> None:
    psi, t = problem
    statistics = statistics_of(psi, t, ridge)
    solution = solve(statistics, KeptInverse(statistics))
    exact = rational_solution(psi, t, ridge)
    check_missing(solution, exact)
    missing = (exact * 2**GRID_BITS - solution.weights).astype(np.float64)
    assert ridge <= 2**20 or (np.abs(missing - solution.carried.missing) < 2.0**-12).all()


def beside_a_near_tie(
    statistics_of: StatisticsOf, gram_of: GramOf, classes: int, column: int, side: int
) -> tuple[Statistics, Integers, Fraction]:
    """Three features and some classes, of which only one has a weight near a half-integer."""
    tie, exact = near_tie(statistics_of, 1, 2**11 - 1, side)
    rng = np.random.default_rng(classes)
    beside = np.array([[0, 5, FEATURE], [0, -FEATURE, FEATURE - 1], [0, 3, 3]])
    goals = rng.integers(-999, 999, (3, classes))
    statistics = statistics_of(beside, goals, 1)
    G = statistics.G.entries()
    G[0, 0], statistics.B[0, column] = tie.G.entries()[0, 0], tie.B[0, 0]
    statistics.G = gram_of(G)
    expected = rounded_solution(beside, goals, 1)
    expected[0, column] = round(exact)
    return statistics, expected, exact


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("classes", "column"), [(1, 0), (2, 0), (4, 1), (7, 6)])
def test_a_column_near_a_tie_goes_on_alone(
    statistics_of: StatisticsOf,
    gram_of: GramOf,
    monkeypatch: pytest.MonkeyPatch,
    classes: int,
    column: int,
    side: int,
) -> None:
    widths: list[int] = []
    times = System.times

    def watched(self: System, V: Floats, Y: Floats) -> Any:
        widths.append(V.shape[1])
        return times(self, V, Y)

    monkeypatch.setattr(System, "times", watched)
    statistics, expected, exact = beside_a_near_tie(statistics_of, gram_of, classes, column, side)
    solution = solve(statistics, KeptInverse(statistics))
    steps = widths[: solution.steps]
    assert steps[0] == classes
    assert steps[-1] == 1
    assert steps == sorted(steps, reverse=True)
    assert steps.count(classes) < len(steps) or classes == 1
    assert solution.weights.tolist() == expected.tolist()
    W = solution.weights.astype(object)
    lower = statistics.G.entries().astype(np.int64).astype(object)
    A = 2 * (np.tril(lower) + np.tril(lower, -1).T) + np.eye(3, dtype=int).astype(object)
    B = statistics.B.astype(np.int64).astype(object)
    assert solution.residual.tolist() == ((2 * B << GRID_BITS) - A.dot(W)).tolist()
    missing = solution.carried.missing[0, column]
    assert missing == pytest.approx(float(exact - round(exact)), abs=2.0**-20)
    # The margin is that of the column that has the least: half of one part in A.
    assert 0 < solution.margin <= 1 / (2 * int(A[0, 0]))


@given(
    n=st.integers(0, 4),
    d=st.integers(1, 3),
    k=st.integers(1, 3),
    ridge=st.integers(20, 40).map(lambda bits: 2**bits + 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_rows_that_leave_are_followed(
    statistics_of: StatisticsOf, n: int, d: int, k: int, ridge: int, seed: int
) -> None:
    """The residual to the last bit, and what is missing about as well as float64 can."""
    rng = np.random.default_rng(seed)
    psi, t = rng.integers(-FEATURE, FEATURE, (n + k, d)), rng.integers(-1000, 1000, (n + k, 2))
    weights = rng.integers(-(2**20), 2**20, (d, 2))
    inverse = KeptInverse(statistics_of(psi, t, ridge))
    held = residual_of(psi, t, ridge, weights).astype(np.int64)
    missing = inverse.solve(held.astype(np.float64))
    left = without(Carried(weights, held, missing), inverse, psi[n:].astype(np.int16), t[n:])
    psi, t = psi[:n], t[:n]
    assert (weights == left.W).all()
    residual = left.R.exact()
    assert residual is not None
    assert residual.tolist() == residual_of(psi, t, ridge, weights).tolist()
    exact = rational_solution(psi, t, ridge) * 2**GRID_BITS - weights
    expected = exact.astype(np.float64)
    scale = np.abs(expected).max() + np.abs(missing).max()
    np.testing.assert_allclose(left.Y, expected, rtol=1e-6, atol=scale * 1e-6)
    kept = inverse.solve(left.R.value)
    np.testing.assert_allclose(kept, expected, rtol=1e-6, atol=scale * 1e-6)


@pytest.mark.parametrize(
    ("weight", "target", "exact"),
    [
        (0, 2**17 - 1, True),  # 2 psi 2^30 t is just below 2^62
        (0, 2**17, False),
        (0, -(2**17), False),
        (0, TARGET, False),
        (2**47 - 1, 0, False),
    ],
)
def test_what_a_row_leaves_is_known_modulo_2_to_64_and_about_where_it_leaves_62_bits(
    statistics_of: StatisticsOf, weight: int, target: int, exact: bool
) -> None:
    psi, t = np.array([[FEATURE]]), np.array([[target]])
    inverse = KeptInverse(statistics_of(psi, t, 2**30 + 1))
    zero = np.zeros((1, 1), np.int64)  # as if the residual had been 0 before
    left = without(Carried(zero + weight, zero, zero.astype(float)), inverse, psi, t)
    true = -2 * FEATURE * ((target << GRID_BITS) - FEATURE * weight)
    assert (left.R.exact() is not None) == exact == (abs(true) < 2**62)
    assert int(left.R.modular.item()) == true % 2**64
    assert left.R.value.item() == pytest.approx(true, rel=1e-12)


@pytest.mark.parametrize(
    ("weight", "target"),
    [(2**49, 0), (2**50, 0), (-(2**52), TARGET)],  # 2^64, too, is 0 modulo it
)
def test_a_row_whose_own_error_leaves_62_bits_is_not_followed(
    statistics_of: StatisticsOf, weight: int, target: int
) -> None:
    psi, t = np.array([[FEATURE]]), np.array([[target]])
    inverse = KeptInverse(statistics_of(psi, t, 2**30 + 1))
    zero = np.zeros((1, 1), np.int64)
    with pytest.raises(NotSolvableError):
        without(Carried(zero + weight, zero, zero.astype(float)), inverse, psi, t)


def test_a_residual_that_is_off_by_one_is_found(statistics_of: StatisticsOf) -> None:
    rng = np.random.default_rng(8)
    psi, t = rng.integers(-FEATURE, FEATURE, (9, 5)), rng.integers(-TARGET, TARGET, (9, 3))
    statistics = statistics_of(psi, t, 2**20 + 1)
    carried = solve(statistics, KeptInverse(statistics)).carried
    check(statistics, carried)
    for at in np.ndindex(5, 3):
        for held in (carried.residual, carried.weights):
            for by in (1, -1):
                held[at] += by
                with pytest.raises(InconsistentStateError):
                    check(statistics, carried)
                held[at] -= by
    check(statistics, carried)
    statistics.subtract(psi[:1], t[:1])
    with pytest.raises(InconsistentStateError):
        check(statistics, carried)
