"""Leaving rows out in closed form, against refits in rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unlearning.weighted_rows import ALPHA, C, Case, cases
from unlearning.errors import InvalidInputError, NotSolvableError
from unlearning.leave_one_out import held_out_error, leave_out
from unlearning.objective import Objective
from unlearning.statistics import Statistics
from unlearning.weighted_fit import Rows, WeightedFit


@given(case=cases(), size=st.integers(1, 4))
@settings(deadline=None, max_examples=150)
def test_each_group_is_seen_by_a_fit_without_it(case: Case, size: int) -> None:
    expected = case.residuals(case.a).astype(float)
    found = np.empty_like(expected)
    for part, rows in zip(case.parts(size), case.blocks(size), strict=True):
        found[part] = leave_out(case.fit, rows).residuals
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=case.lost * ALPHA * case.reach)


def row(x: float, ridge: float, copies: int = 1) -> Case:
    """Three rows near each other and one far away, whose leverage nears 1 as x grows."""
    psi = np.array([[1.0, 0.0, 1.0], [2.0, 0.0, 1.0], [3.0, 0.0, 1.0], *[[1.0, x, 1.0]] * copies])
    n = len(psi)
    labels = np.arange(n) % C
    groups = np.minimum(np.arange(n), 3)
    rows = Rows(psi, ALPHA * np.eye(C)[labels], groups, np.ones(n), np.ones(n, np.bool_))
    return Case(rows, ridge)


@pytest.mark.parametrize("copies", [1, 2, 3, 5])  # beyond 3 the group is larger than d
@pytest.mark.parametrize("x", [2.0**k for k in range(0, 25, 3)])
def test_a_leverage_near_one_loses_nothing(x: float, copies: int) -> None:
    """1 - h down to 2^-49."""
    case = row(x, 0.5, copies)
    found = leave_out(case.fit, case.rows).residuals
    np.testing.assert_allclose(found, case.residuals(case.a).astype(float), rtol=1e-9)


def test_of_a_single_sample_or_subject_the_target_is_left() -> None:
    rows = row(1.0, 1.0).rows
    for alone, groups in ((rows[:1], [0]), (rows, [7] * len(rows))):
        group = Rows(alone.psi, alone.t, np.array(groups), alone.weights, alone.counts)
        left = leave_out(WeightedFit.of_rows([group], 1.0), group)
        np.testing.assert_allclose(left.residuals, group.t, rtol=1e-12, atol=1e-12)


def test_the_error_is_the_mean_and_the_accuracy_counts_largest_logits() -> None:
    t = ALPHA * np.eye(3)
    r = np.array([[0.0, 0.0, 0.0], [0.0, 14.0, -2.0], [1.0, 2.0, 3.0]])
    found = held_out_error([(r[:1], t[:1]), (r[1:], t[1:])])
    assert found.error == (0 + 200 + 14) / 3
    assert found.accuracy == 2 / 3  # the second one's logits are 0, 1, 2
    assert found.samples == 3


def test_without_a_sample_there_is_no_error() -> None:
    with pytest.raises(InvalidInputError, match="samples: there are none"):
        held_out_error([])


def test_the_fit_of_statistics_is_that_of_their_rows(objective_of: type[Objective]) -> None:
    rng = np.random.default_rng(3)
    objective = objective_of(width=4, classes=3, feature_bound=2.0)  # type: ignore[operator]
    psi, labels = rng.integers(-8000, 8000, (30, 4)), rng.integers(0, 3, 30)
    t = objective.targets(labels)
    statistics = Statistics.empty(objective)
    statistics.add(psi, t)
    step, ridge = objective.features.step, objective.ridge_in_real_units
    rows = Rows(psi * step, t * 2.0**-12, np.arange(30), np.ones(30), np.ones(30, np.bool_))
    expected = WeightedFit.of_rows([rows[:11], rows[11:]], ridge)
    np.testing.assert_allclose(
        WeightedFit.of_statistics(statistics).W, expected.W * step, rtol=1e-12
    )


def test_a_ridge_that_float64_cannot_see_is_refused() -> None:
    """Of two equal columns, whose Gram matrix is singular."""
    rows = row(1.0, 1.0).rows
    same = Rows(1e9 * np.ones((4, 3)), rows.t, rows.groups, rows.weights, rows.counts)
    with pytest.raises(NotSolvableError, match="not positive definite"):
        WeightedFit.of_rows([same], float(Fraction(1, 2**60)))


def test_no_matrix_is_of_the_size_of_a_group_with_more_rows_than_features() -> None:
    case = row(1.0, 1.0, copies=4)
    left = leave_out(case.fit, case.rows)
    assert [refit.group for refit in left.refits] == [3]
    assert sorted(members.shape for members in left.members) == [(3, 1)]
