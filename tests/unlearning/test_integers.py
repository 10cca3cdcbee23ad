"""Integers modulo 2^64 and their float64 twin, against Python's."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from unlearning.integers import Checked, times_rows

LARGEST = 2**14


def exact_or_none(value: int) -> list[int] | None:
    """A value that only a sum of Checked can reach, and what is said of it."""
    parts = [value >> 2] * 4
    parts[0] += value - sum(parts)
    total = Checked.of(np.array([parts[0]]))
    for part in parts[1:]:
        total = total + Checked.of(np.array([part]))
    result = total.exact()
    return None if result is None else result.tolist()


@given(st.integers(-(2**62) + 2**20, 2**62 - 2**20))
def test_what_is_below_62_bits_is_exact(value: int) -> None:
    assert exact_or_none(value) == [value]


@given(st.one_of(st.integers(2**62, 2**64), st.integers(-(2**64), -(2**62))))
def test_what_wraps_or_might_is_none(value: int) -> None:
    assert exact_or_none(value) is None


def test_a_value_that_is_not_a_number_is_none() -> None:
    nan = Checked(np.zeros(1, np.uint64), np.array([np.nan]), np.zeros(1))
    assert nan.exact() is None


@given(st.integers(-(2**61), 2**61), st.integers(-(2**9), 2**9), st.integers(0, 63), st.booleans())
@example(2**61, 2**7, 56, False)
@example(2**61, 2**7, 56, True)
def test_a_difference_of_numbers_far_larger_is_exact_or_none(
    value: int, difference: int, shift: int, together: bool
) -> None:
    """It may be lost in their float64 altogether."""
    a, b = Checked.of(np.array([value + difference])), Checked.of(np.array([value]))
    result = ((a - b) << shift if together else (a << shift) - (b << shift)).exact()
    assert result is None or result.tolist() == [difference << shift]
    assert result is not None or (abs(difference) + abs(value) / 2**46) * 2**shift >= 2**62


@given(st.integers(-(2**40), 2**40), st.integers(0, 20), st.integers(1, 2**21 - 1))
def test_shifts_and_factors_are_those_of_integers(value: int, shift: int, factor: int) -> None:
    number = Checked.of(np.array([value]))
    assert (number << shift).exact().tolist() == [value << shift]  # type: ignore[union-attr]
    product = (number * factor).exact()
    expected = value * factor
    assert product is None if abs(expected) >= 2**62 else product.tolist() == [expected]  # type: ignore[union-attr]


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize(("k", "d"), [(1, 1), (1, 8191), (3, 257), (1024, 5)])
@pytest.mark.parametrize("bits", [2, 27, 28, 29, 45, 61])
def test_lattice_rows_times_integers_are_exact(k: int, d: int, bits: int, transpose: bool) -> None:
    rng = np.random.default_rng(k + d + bits)
    rows = rng.choice([-LARGEST, LARGEST, LARGEST - 1], (k, d))
    shape = (k if transpose else d, 2)
    X = rng.integers(2**bits - 2**bits // 4, 2**bits, shape) * rng.choice([-1, 1], shape)
    X[0, 0] = 1 - 2**bits
    result = times_rows(rows.astype(np.float64), X, transpose=transpose)
    matrix: NDArray[Any] = (rows.T if transpose else rows).astype(object)
    expected = matrix.dot(X.astype(object))
    assert (result.modular.astype(object) == expected % 2**64).all()
    difference = result.value - expected.astype(np.float64)
    assert (np.abs(difference) <= 2.0**-48 * result.magnitude).all()


@given(st.lists(st.integers(-(2**61), 2**61), min_size=3, max_size=3), st.data())
def test_any_rows_times_any_integers(X: list[int], data: st.DataObject) -> None:
    entries = st.integers(-LARGEST, LARGEST)
    row = data.draw(st.lists(entries, min_size=3, max_size=3))
    result = times_rows(np.array([row], np.float64), np.array(X)[:, None])
    assert int(result.modular[0, 0]) == sum(a * b for a, b in zip(row, X, strict=True)) % 2**64
