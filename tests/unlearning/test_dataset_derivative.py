"""The derivatives of held-out errors, against those of refits in rational arithmetic."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unlearning.test_leave_one_out import row
from tests.unlearning.weighted_rows import ALPHA, C, Case, Floats, Fractions, cases
from unlearning.dataset_derivative import leave_out_derivatives, validation_derivatives
from unlearning.errors import InvalidInputError
from unlearning.reference import rational_derivatives, rational_residuals_left_out
from unlearning.weighted_fit import Rows, WeightedFit


def summed(case: Case, residuals: Callable[[Fractions], Fractions]) -> Callable[..., Fraction]:
    """The objective as a function of the weights."""
    return lambda a: Fraction(np.square(residuals(a)[case.rows.counts]).sum())


def left_out(case: Case, size: int) -> Floats:
    found, blocks = np.empty(len(case.rows)), case.blocks(size)
    parts = zip(case.parts(size), leave_out_derivatives(case.fit, lambda: blocks), strict=True)
    for part, each in parts:
        found[part] = each.derivatives
    return found


@given(case=cases(), size=st.integers(1, 4))
@settings(deadline=None, max_examples=100)
def test_it_is_the_derivative_of_refits(case: Case, size: int) -> None:
    expected = rational_derivatives(summed(case, case.residuals), case.a)
    lost = case.lost * ALPHA**2 * case.reach
    np.testing.assert_allclose(left_out(case, size), expected, rtol=1e-9, atol=lost)


@given(case=cases())
@settings(deadline=None, max_examples=50)
def test_summed_over_weights_it_is_what_a_stronger_ridge_would_undo(case: Case) -> None:
    rows = case.rows

    def under(ridges: Fractions) -> Fraction:
        r = rational_residuals_left_out(rows.psi, rows.t, rows.groups, case.a, ridges[0])
        return Fraction(np.square(r)[rows.counts].sum())

    (expected,) = rational_derivatives(under, np.array([Fraction(case.ridge)]))
    found = left_out(case, 2) @ rows.weights
    lost = 10 * case.lost * ALPHA**2 * case.reach
    assert found == pytest.approx(-case.ridge * expected, rel=1e-9, abs=lost)


@given(case=cases(), size=st.integers(1, 4))
@settings(deadline=None, max_examples=50)
def test_on_validation_rows_too(case: Case, size: int) -> None:
    expected = rational_derivatives(summed(case, case.errors), case.a)
    blocks = case.blocks(size)
    if not case.rows.counts.any():
        with pytest.raises(InvalidInputError, match="objective: no sample"):
            list(validation_derivatives(case.fit, lambda: blocks))
        return
    found = np.empty(len(case.rows))
    parts = zip(case.parts(size), validation_derivatives(case.fit, lambda: blocks), strict=True)
    for part, derivatives in parts:
        found[part] = derivatives
    lost = case.lost * ALPHA**2 * case.reach
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=lost)


@pytest.mark.parametrize("copies", [1, 2, 5])
@pytest.mark.parametrize("x", [2.0**k for k in range(0, 25, 3)])
def test_a_leverage_near_one_loses_nothing(x: float, copies: int) -> None:
    """1 - h down to 2^-49: that row's group is refitted, and a sum over it would be lost."""
    case = row(x, 0.5, copies)
    expected = rational_derivatives(summed(case, case.residuals), case.a)
    atol = 1e-9 * float(np.abs(expected).max())
    np.testing.assert_allclose(left_out(case, 2), expected, rtol=1e-7, atol=atol)


@pytest.mark.parametrize("subjects", [60, 7])
def test_of_many_rows_it_is_that_of_refits_in_float64(subjects: int) -> None:
    """To ten digits of each, by a complex step: Im l(a + ih) / h."""
    rng = np.random.default_rng(subjects)
    n, d = 60, 12
    rows = Rows(
        psi=np.column_stack([rng.normal(size=(n, d - 1)), np.ones(n)]),
        t=ALPHA * np.eye(C)[rng.integers(0, C, n)],
        groups=rng.permutation(np.arange(n) % subjects),
        weights=rng.choice([0.0, 1.0, 1.5], n),
        counts=rng.random(n) < 0.8,
    )
    case = Case(rows, 2.0)
    expected = np.array([complex_step(rows, case.ridge, j) for j in range(n)])
    np.testing.assert_allclose(left_out(case, 3), expected, rtol=1e-10, atol=1e-10)


def complex_step(rows: Rows, ridge: float, j: int) -> float:
    """The derivative with respect to a_j, without a difference in it."""
    step, total = 1e-30, 0j
    a = rows.weights + 1j * step * (np.arange(len(rows)) == j)
    for group in np.unique(rows.groups):
        out = rows.groups == group
        weighted = rows.psi[~out].T * a[~out]
        A = weighted @ rows.psi[~out] + ridge * np.eye(rows.psi.shape[1])
        r = rows.t[out] - rows.psi[out] @ np.linalg.solve(A, weighted @ rows.t[~out])
        total += (r[rows.counts[out]] ** 2).sum()
    return float(total.imag / step)


def test_a_sample_alone_is_worth_nothing_to_itself() -> None:
    rows = row(1.0, 1.0).rows[:1]
    (found,) = leave_out_derivatives(WeightedFit.of_rows([rows], 1.0), lambda: [rows])
    assert found.derivatives == pytest.approx(0.0, abs=1e-12)
    assert found.held_out_errors == pytest.approx(ALPHA**2)
