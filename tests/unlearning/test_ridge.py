"""The gradient and the bound on its norm, against rational arithmetic."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unlearning.dense_network import DenseJacobian, network, samples
from unlearning.reference import dense, rational_gradient, ridge_solution
from unlearning.ridge import Hessian, RidgeProblem


def problem(J: Any, t: Any, ridge: float) -> RidgeProblem:
    J = np.asarray(J, float)
    fast = DenseJacobian(J.astype(np.float32))
    return RidgeProblem(Hessian(fast, ridge), Hessian(DenseJacobian(J), ridge), np.asarray(t))


def drawn(seed: int, n: int, C: int, p: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, C, p)), rng.normal(size=(n, C))


def test_the_hessian_is_that_of_the_jacobian_written_out() -> None:
    J, t = drawn(0, 7, 3, 11)
    A = dense(DenseJacobian(J))
    assert A.shape == (21, 11)
    made = problem(J, t, 0.5)
    v = np.arange(11.0)
    assert np.allclose(made.precise.times(v), (A.T @ A + 0.5 * np.eye(11)) @ v, rtol=1e-13)
    assert np.allclose(made.fast.times(v), made.precise.times(v), rtol=1e-5)
    assert np.allclose(made.moments(), A.T @ t.ravel(), rtol=1e-13)


def test_the_gradient_vanishes_at_the_dense_solution_and_nowhere_else() -> None:
    J, t = drawn(1, 7, 3, 11)
    made = problem(J, t, 0.5)
    w = ridge_solution(J.reshape(21, 11), t.ravel(), 0.5)
    assert made.gradient(w).norm < 1e-10
    value, norm = made.gradient(w + np.eye(11)[4])
    assert np.allclose(value, made.precise.times(np.eye(11)[4]), rtol=1e-10)
    assert norm == pytest.approx(np.linalg.norm(value), rel=1e-6)


@given(
    st.integers(0, 2**32),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 6),
    st.floats(-6, 6),
    st.floats(-6, 6),
    st.sampled_from(["zero", "random", "optimum", "near", "cancelling"]),
)
@settings(max_examples=200)
def test_no_rounding_takes_the_gradient_beyond_its_bound(
    seed: int, n: int, C: int, p: int, size: float, ridge: float, where: str
) -> None:
    J, t = drawn(seed, n, C, p)
    J, lam = J * 10.0**size, 10.0**ridge
    rng = np.random.default_rng(seed + 1)
    if where == "cancelling":
        J[..., p // 2 :] = J[..., :1] * (1 + 1e-12)
    A = J.reshape(n * C, p)
    w = {"zero": np.zeros(p), "random": rng.normal(size=p) * 10.0**-size}.get(where)
    if w is None:
        w = ridge_solution(A, t.ravel(), lam)
        w = w * (1 + 1e-7 * rng.normal(size=p)) if where == "near" else w
    true = rational_gradient(A, t.ravel(), lam, w)
    square = sum((g * g for g in true), Fraction(0))
    bound = problem(J, t, lam).gradient(w).norm
    assert square <= Fraction(bound) ** 2


@pytest.mark.parametrize("n", [40, 400])
def test_the_bound_is_tight_where_the_solve_is_not_at_its_limits(objective_of: Any, n: int) -> None:
    objective = objective_of(width=20, classes=3)
    net = network(objective, 60, seed=2)
    psi, labels = samples(objective, n, 1.0, seed=3)
    made = RidgeProblem.of(net, psi, 15 * np.eye(3)[labels], 0.01)
    w = ridge_solution(dense(made.precise.jacobian), made.targets.ravel(), 0.01)
    value, norm = made.gradient(w * (1 + 1e-6))
    assert norm <= 1.001 * np.linalg.norm(value)
