"""What BLAS and LAPACK are asked for, against NumPy's integers; and that it is done in place."""

import sys
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from unlearning import blas

Floats = NDArray[np.float64]

ORDERS = ["C", "F"]


def integers(*shape: int, seed: int = 0) -> NDArray[np.int64]:
    return np.random.default_rng([*shape, seed]).integers(-100, 100, shape)


def lower_alone(d: int) -> Floats:
    """A symmetric matrix of which nothing above the diagonal is given."""
    A = np.asfortranarray(integers(d, d), np.float64)
    A[np.triu_indices(d, 1)] = np.nan
    return A


def symmetric(A: Floats) -> Floats:
    lower = np.tril(A)
    return np.asarray(lower + np.tril(lower, -1).T)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("d", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("k", [0, 1, 3, 4, 7, 300])
def test_a_triangle_multiplies_as_the_symmetric_matrix_it_stands_for(
    d: int, k: int, order: Any
) -> None:
    A, X = lower_alone(d), integers(d, k)
    product = blas.symmetric_product(A, np.array(X, np.float64, order=order))
    assert product.shape == (d, k)
    assert (product == symmetric(A).astype(np.int64) @ X).all()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("d", "k"), [(1, 1), (65, 1), (65, 7), (3, 200), (5, 0)])
@pytest.mark.parametrize("alpha", [1.0, -1.0])
def test_an_outer_product_is_added_to_the_lower_triangle_alone(
    d: int, k: int, alpha: float, order: Any
) -> None:
    A, Z = lower_alone(d), integers(d, k)
    expected = np.tril(A) + int(alpha) * np.tril(Z @ Z.T)
    held = A
    blas.add_outer_product(A, alpha, np.array(Z, np.float64, order=order))
    assert held is A
    assert (np.tril(A) == expected).all()
    assert np.isnan(A[np.triu_indices(d, 1)]).all()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("d", "k"), [(1, 1), (65, 7), (3, 200), (5, 0)])
def test_the_symmetric_part_of_a_product_is_added_to_the_lower_triangle_alone(
    d: int, k: int, order: Any
) -> None:
    A, Y, Z = lower_alone(d), integers(d, k), integers(d, k, seed=1)
    expected = np.tril(A) + np.tril(Y @ Z.T + Z @ Y.T) / 2
    blas.add_symmetric_part(A, *(np.array(X, np.float64, order=order) for X in (Y, Z)))
    assert (np.tril(A) == expected).all()
    assert np.isnan(A[np.triu_indices(d, 1)]).all()


@pytest.mark.parametrize("orders", [(a, b) for a in ORDERS for b in ORDERS])
@pytest.mark.parametrize(
    ("m", "n", "k"), [(1, 1, 1), (5, 1, 3), (1, 9, 1), (65, 130, 4), (4, 7, 1)]
)
def test_products_are_those_of_integers(m: int, n: int, k: int, orders: tuple[Any, Any]) -> None:
    A, B, C = integers(m, n), integers(n, k, seed=1), integers(m, k, seed=2)
    factors = [np.array(X, np.float64, order=o) for X, o in zip((A, B), orders, strict=True)]
    assert (blas.product(*factors) == A @ B).all()
    held = np.asfortranarray(C, np.float64)
    blas.add_product(held, -1.0, *factors)
    assert (held == C - A @ B).all()


def test_parts_of_larger_arrays_are_taken_as_they_are_seen() -> None:
    A, X = lower_alone(6), integers(12, 10)
    part = X.astype(np.float64)[::2, 1:9:2]
    expected = X[::2, 1:9:2]
    whole = symmetric(A).astype(np.int64)
    assert (blas.symmetric_product(A, part) == whole @ expected).all()
    assert (blas.product(part.T, part) == expected.T @ expected).all()
    blas.add_outer_product(A, 1.0, part)
    assert (symmetric(A) == whole + expected @ expected.T).all()


@pytest.mark.parametrize("k", [1, 2, 40])
def test_a_factor_its_triangular_systems_and_its_inverse_are_those_of_the_matrix(k: int) -> None:
    rng = np.random.default_rng(k)
    lower = np.tril(rng.integers(-3, 4, (k, k))).astype(np.float64)
    lower[np.diag_indices(k)] = rng.integers(1, 5, k)
    A = np.asfortranarray(np.tril(lower @ lower.T) + np.triu(np.full((k, k), np.nan), 1))
    whole = lower @ lower.T
    assert blas.factor(A)
    np.testing.assert_allclose(np.tril(A), lower, atol=1e-10)
    B = rng.normal(size=(k, 3))
    np.testing.assert_allclose(lower @ blas.solve_factored(A, B), B, atol=1e-8)
    np.testing.assert_allclose(lower.T @ blas.solve_factored_transposed(A, B), B, atol=1e-8)
    right = blas.solve_factored_from_right(np.array(B.T), A)
    np.testing.assert_allclose(right @ lower.T, B.T, atol=1e-8)
    assert blas.invert_factored(A)
    inverse = symmetric(A)
    np.testing.assert_allclose(inverse @ whole, np.eye(k), atol=1e-6 * np.abs(inverse).max())


def test_the_right_sides_of_systems_are_left_as_they_are() -> None:
    K, B = np.array([[2.0]]), np.asfortranarray(np.ones((1, 4)))
    assert (blas.solve_factored(K, B) == 0.5).all()
    assert (blas.solve_factored_transposed(K, B) == 0.5).all()
    assert (blas.solve_factored_from_right(B.T, K) == 0.5).all()
    assert (B == 1).all()


def test_what_is_not_positive_definite_has_no_factor_and_what_is_singular_no_inverse() -> None:
    assert not blas.factor(np.asfortranarray([[1.0, 0.0], [2.0, 3.0]]))
    assert not blas.factor(np.asfortranarray([[-1.0]]))
    assert not blas.invert_factored(np.asfortranarray([[1.0, 0.0], [2.0, 0.0]]))


@pytest.mark.parametrize(
    "A",
    [
        np.ones((3, 3), np.float32, order="F"),
        np.ones((3, 3), np.int64, order="F"),
        np.arange(9.0).reshape(3, 3),
        np.ones((6, 6), order="F")[::2, ::2],
    ],
    ids=["float32", "int64", "row by row", "strided"],
)
@pytest.mark.parametrize(
    "change",
    [
        blas.factor,
        blas.invert_factored,
        lambda A: blas.add_outer_product(A, 1.0, np.ones((3, 2))),
        lambda A: blas.add_product(A, 1.0, np.ones((3, 2)), np.ones((2, 3))),
        lambda A: blas.symmetric_product(A, np.ones((3, 2))),
    ],
    ids=["factor", "invert", "add outer", "add product", "symmetric product"],
)
def test_a_matrix_that_is_laid_out_otherwise_is_refused_and_left_as_it_is(
    A: NDArray[Any], change: Callable[[Any], object]
) -> None:
    before = A.copy()
    with pytest.raises(TypeError):
        change(A)
    assert np.array_equal(A, before)


@pytest.fixture
def patient() -> Iterator[None]:
    """No thread takes the interpreter's lock from another: it has to be let go of."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("patient")
def test_other_threads_go_on_while_it_computes() -> None:
    counted, stop = [0], Event()

    def count() -> None:
        while not stop.wait(0.0001):
            counted[0] += 1

    thread = Thread(target=count)
    thread.start()
    try:
        for size in (500, 1000, 2000, 4000):
            A = np.asfortranarray(np.eye(size))
            before = counted[0]
            blas.factor(A)
            if counted[0] > before:
                return
    finally:
        stop.set()
        thread.join()
    raise AssertionError("no thread but this one had the interpreter's lock")
