"""A fixed polynomial of H: its error, its linearity and the law of what it makes of noise."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from unlearning import chebyshev
from unlearning.chebyshev import degree, largest_eigenvalue, solve
from unlearning.noise import Source

Floats = NDArray[np.float64]


def seeded(seed: int) -> Source:
    return np.random.default_rng(seed).bytes


def diagonal(spectrum: Floats) -> chebyshev.Operator:
    return lambda v: spectrum * v


def dense(spectrum: Floats, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.normal(size=(len(spectrum), len(spectrum))))[0]
    return np.asarray((Q * spectrum) @ Q.T)


@given(
    st.floats(-6, 6).map(lambda e: 10.0**e),
    st.floats(0, 5).map(lambda e: 10.0**e),
    st.floats(0.001, 0.9),
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
)
def test_no_spectrum_within_the_bounds_has_a_larger_error(
    low: float, condition: float, relative_error: float, places: list[float]
) -> None:
    """With H diagonal and b all ones, x is p(h): the polynomial itself is seen."""
    spectrum = low * condition ** np.array([0.0, 1.0, *places])
    high = float(spectrum.max())
    found = solve(diagonal(spectrum), np.ones_like(spectrum), low, high, relative_error)
    assert found.relative_error <= relative_error * (1 + 1e-9)
    rounding = found.rounding_error * spectrum + 1e-12
    assert (np.abs(1 - spectrum * found.value) <= found.relative_error + rounding).all()


def test_the_error_is_attained() -> None:
    spectrum = np.linspace(1, 100, 2001)
    found = solve(diagonal(spectrum), np.ones(2001), 1, 100, 0.05)
    assert np.abs(1 - spectrum * found.value).max() == pytest.approx(found.relative_error, rel=1e-6)


@pytest.mark.parametrize("condition", [1.0, 1.5, 1e2, 1e6, 1.3e15])
@pytest.mark.parametrize("relative_error", [0.5, 0.03, 1e-6])
def test_no_lower_degree_would_do(condition: float, relative_error: float) -> None:
    k = degree(1.0, condition, relative_error)
    spread = (condition + 1) / (condition - 1) if condition > 1 else np.inf
    if condition < 1e12:  # beyond, cosh and arcosh of 1 + 1e-15 say nothing
        assert np.cosh(k * np.arccosh(spread)) >= (1 - 1e-6) / relative_error
        assert k == 1 or np.cosh((k - 1) * np.arccosh(spread)) < (1 + 1e-6) / relative_error
    else:  # T_k(1 + 2 / condition) is about cosh(2 k / sqrt(condition))
        assert k == pytest.approx(sqrt(condition) / 2 * np.arccosh(1 / relative_error), rel=1e-3)


def test_it_is_near_the_dense_inverse_in_the_norm_that_counts() -> None:
    spectrum = np.geomspace(0.1, 50, 60)
    H, b = dense(spectrum), np.random.default_rng(1).normal(size=60)
    found = solve(H.dot, b, 0.1, 60, 0.02)
    truth = np.linalg.solve(H, b)
    off = found.value - truth
    assert off @ H @ off <= 0.02**2 * (truth @ H @ truth)
    assert found.products == degree(0.1, 60, 0.02) + 1


def test_it_is_linear_in_the_right_hand_side() -> None:
    H = dense(np.geomspace(0.1, 50, 40))
    rng = np.random.default_rng(2)
    b, c = rng.normal(size=(2, 40))

    def p(v: Floats) -> Floats:
        return solve(H.dot, v, 0.1, 50, 0.1).value

    np.testing.assert_allclose(p(3 * b - 1e3 * c), 3 * p(b) - 1e3 * p(c), rtol=1e-9, atol=1e-9)


def test_noise_through_it_has_the_covariance_that_its_error_allows() -> None:
    """N(0, H) becomes N(0, p H p), between (1 - eps)^2 and (1 + eps)^2 of H^-1."""
    spectrum = np.geomspace(0.2, 30, 25)
    H = dense(spectrum)
    columns = [solve(H.dot, e, 0.2, 30, 0.1) for e in np.eye(25)]
    P, eps = np.array([column.value for column in columns]), columns[0].relative_error
    root = dense(np.sqrt(spectrum))
    ratios = np.linalg.eigvalsh(root @ (P @ H @ P.T) @ root)
    assert (1 - eps) ** 2 <= ratios.min() * (1 + 1e-9)
    assert ratios.max() <= (1 + eps) ** 2 * (1 + 1e-9)
    b = root @ np.random.default_rng(3).normal(size=(25, 20_000))
    drawn = np.array([solve(H.dot, column, 0.2, 30, 0.1).value for column in b.T[:4000]])
    seen, C = np.cov(drawn.T), P @ H @ P.T
    sizes = np.sqrt(np.outer(C.diagonal(), C.diagonal()))
    assert np.abs((seen - C) / sizes).max() < 6 * sqrt(2 / 4000)


def test_a_shift_shows_as_little_more_as_is_told() -> None:
    """mu of the dense covariance against ||H^-1/2 g|| / (1 - eps)."""
    H = dense(np.geomspace(0.2, 30, 25))
    columns = [solve(H.dot, e, 0.2, 30, 0.3) for e in np.eye(25)]
    P, eps = np.array([column.value for column in columns]), columns[0].relative_error
    for g in np.linalg.eigh(H)[1].T:
        away = np.linalg.solve(H, g)
        mu = sqrt(away @ np.linalg.solve(P @ H @ P.T, away))
        assert mu <= sqrt(g @ away) / (1 - eps) * (1 + 1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_rounding_error_that_is_measured_is_that_of_the_noise(dtype: type) -> None:
    spectrum = np.geomspace(1, 1e4, 80)
    H, b = dense(spectrum), np.random.default_rng(4).normal(size=80)
    rough = H.astype(dtype)
    found = solve(lambda v: (rough @ v.astype(dtype)).astype(np.float64), b, 1, 1e4, 0.01)
    longer = H.astype(np.longdouble)  # 64 bits and more
    exact = solve(lambda v: longer @ v, b.astype(np.longdouble), 1, 1e4, 0.01)  # type: ignore[arg-type]
    off = float(np.linalg.norm(found.value - exact.value))
    assert off / 10 < found.rounding_error < 1e3 * off
    assert exact.rounding_error < found.rounding_error / 100


def test_a_multiple_of_the_identity_is_solved_at_once() -> None:
    found = solve(lambda v: 4 * v, np.array([1.0, 3.0]), 4, 4, 0.5)
    assert found.value.tolist() == [0.25, 0.75]
    assert (found.relative_error, found.rounding_error, found.products) == (0, 0, 2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [1, 10, 3000])
@pytest.mark.parametrize("decay", [0, 1, 3])
def test_the_largest_eigenvalue_is_bounded(size: int, decay: float, seed: int) -> None:
    spectrum = 7.3 * np.arange(1, size + 1.0) ** -decay
    found = largest_eigenvalue(diagonal(spectrum), size, seeded(seed))
    assert 7.3 <= found <= 7.3 * 2.1


def test_the_largest_eigenvalue_is_bounded_where_chance_hides_it() -> None:
    """A start that hardly sees the first eigenvector, as one in 2^50 does."""
    spectrum = np.array([100.0, 1.0, 1.0])
    plain = seeded(0)

    def unlucky(size: int) -> bytes:
        words = np.frombuffer(plain(size), "<u8").copy()
        words[:1] = 2**64 - 2**14  # a tail just below a half: about 2^-50
        return words.tobytes()

    assert 1e-16 < abs(chebyshev.standard_normal(3, unlucky)[0]) < 1e-14
    assert largest_eigenvalue(diagonal(spectrum), 3, unlucky) >= 100


def test_no_matrix_has_no_eigenvalue_above_zero() -> None:
    assert largest_eigenvalue(lambda v: 0 * v, 5) == 0


def test_scales_beyond_float64s_powers_do_no_harm() -> None:
    assert 1e100 <= largest_eigenvalue(lambda v: 1e100 * v, 5) <= 2e100
