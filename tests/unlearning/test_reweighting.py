"""Weights down the gradient, against those by derivatives in rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.unlearning.test_dataset_derivative import summed
from tests.unlearning.weighted_rows import ALPHA, C, Case
from unlearning.dataset_derivative import Derivatives, Source, leave_out_derivatives
from unlearning.reference import rational_derivatives
from unlearning.reweighting import STEP, descend, reweight
from unlearning.weighted_fit import Rows, WeightedFit

N = 6
POSITIVE = st.floats(0, 2)
DERIVATIVES = st.floats(-1e9, 1e9)


@given(a=arrays(np.float64, N, elements=POSITIVE), g=arrays(np.float64, N, elements=DERIVATIVES))
def test_a_step_goes_down_and_no_further_than_it_may(a: np.ndarray, g: np.ndarray) -> None:
    moved = descend(a, g)
    assert (moved >= 0).all()
    assert (np.abs(moved - a) <= STEP * (1 + 1e-12)).all()
    assert ((moved - a) * g <= 0).all()
    largest = np.abs(g).argmax()
    if g[largest] < 0:
        assert moved[largest] == pytest.approx(a[largest] + STEP)
    if not g.any():
        assert (moved == a).all()


def differentiate(fit: WeightedFit, source: Source) -> Derivatives:
    parts = zip(*leave_out_derivatives(fit, source), strict=True)
    return Derivatives(*map(np.concatenate, parts))


@pytest.mark.parametrize("steps", range(4))
def test_each_step_takes_the_derivative_at_the_weights_it_starts_from(steps: int) -> None:
    rng = np.random.default_rng(steps)
    rows = Rows(
        psi=np.column_stack([rng.normal(size=(N, 2)), np.ones(N)]),
        t=ALPHA * np.eye(C)[rng.integers(0, C, N)],
        groups=np.array([0, 0, 1, 2, 3, 4]),
        weights=np.ones(N),
        counts=np.ones(N, np.bool_),
    )
    case = Case(rows, 0.5)
    blocks = case.blocks(2)
    found = differentiate(case.fit, lambda: blocks)
    a = reweight(lambda: blocks, 0.5, differentiate, found.derivatives, steps)
    expected = np.ones(N)
    for _ in range(steps):
        at = np.array([Fraction(value) for value in expected], object)
        derivatives = rational_derivatives(summed(case, case.residuals), at)
        expected = descend(expected, derivatives)
    np.testing.assert_allclose(a, expected, rtol=1e-10)
