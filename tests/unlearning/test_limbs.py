"""The exact product against Python's integers, at the largest magnitudes it allows."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unlearning.limbs import GramProduct
from unlearning.statistics import Statistics
from unlearning.triangle import multiply

Floats = NDArray[np.float64]
WIDTHS = [1, 2, 63, 64, 65, 128, 257]  # columns go through in blocks of 64
DIAGONALS = [0, 1, 2, 3, 4, 2**26 - 1, 2**26, 2**45 + 1, 2**52 - 1, 2**52, 2**53 - 1]


def product_of(lower: Floats) -> GramProduct:
    statistics = Statistics(len(lower), 1, 1)
    statistics.G[:] = np.tril(lower)
    return GramProduct.of(statistics)


def whole(lower: Floats) -> NDArray[Any]:
    """The symmetric matrix, in Python's integers."""
    return exact(np.tril(lower) + np.tril(lower, -1).T)


def exact(values: Floats) -> NDArray[Any]:
    return np.vectorize(int, otypes=[object])(values)


def combined(product: GramProduct, V: Floats) -> NDArray[Any]:
    high, low = multiply(product.G, V, product._split)
    return np.asarray(exact(high) + exact(low))


@pytest.mark.parametrize("signs", ["equal", "mixed"])
@pytest.mark.parametrize("top", DIAGONALS)
@pytest.mark.parametrize("d", WIDTHS)
def test_the_product_is_exact_at_the_largest_entries(d: int, top: int, signs: str) -> None:
    rng = np.random.default_rng(d)
    entries = rng.integers(top - top // 8, top, (d, d), endpoint=True)
    lower = (entries if signs == "equal" else entries * rng.choice([-1, 1], (d, d))).astype(float)
    lower[np.diag_indices(d)] = top
    product = product_of(lower)
    V = rng.integers(product.largest - product.largest // 8, product.largest, (d, 2), endpoint=True)
    V[0] = product.largest, -product.largest
    V = V if signs == "equal" else V * rng.choice([-1, 1], V.shape)
    expected = whole(lower).dot(V.astype(object))
    assert (combined(product, V.astype(np.float64)) == expected).all()


@given(
    d=st.integers(1, 5), top=st.integers(0, 2**53 - 1), data=st.data(), classes=st.integers(1, 3)
)
@settings(deadline=None, max_examples=60)
def test_the_product_is_exact_for_any_entries(
    d: int, top: int, data: st.DataObject, classes: int
) -> None:
    entries = data.draw(st.lists(st.integers(-top, top), min_size=d * d, max_size=d * d))
    lower = np.array(entries, np.float64).reshape(d, d)
    lower[0, 0] = top
    lower[np.diag_indices(d)] = np.abs(lower.diagonal())
    product = product_of(lower)
    values = st.one_of(
        st.sampled_from([product.largest, -product.largest]),
        st.integers(-product.largest, product.largest),
    )
    size = d * classes
    V = np.array(data.draw(st.lists(values, min_size=size, max_size=size)), np.int64)
    V = V.reshape(d, classes)
    expected = whole(lower).dot(V.astype(object))
    assert (combined(product, V.astype(np.float64)) == expected).all()


@pytest.mark.parametrize("top", DIAGONALS)
@pytest.mark.parametrize("d", [1, 2, 300, 2048])
def test_no_partial_sum_at_the_largest_reaches_53_bits(d: int, top: int) -> None:
    statistics = Statistics(d, 1, 1)
    statistics.G[0, 0] = top
    product = GramProduct.of(statistics)
    for entry in range(max(0, top - 2**14), top + 1, 97) if top > 3 else range(top + 1):
        high = round(entry / 2**product.shift)
        low = entry - high * 2**product.shift
        assert d * max(abs(high), abs(low)) * product.largest < 2**53
    assert d * (2**product.shift // 2) * product.largest < 2**53


def test_beyond_the_largest_a_product_rounds() -> None:
    d, high = 257, 2**20 - 3
    shift = product_of(np.full((1, 1), high * 2.0**21)).shift
    product = product_of(np.full((d, d), high * 2.0**shift))
    assert product.shift == shift
    V = np.full((d, 1), float(2 * product.largest | 1))
    true = d * (high << shift) * int(V[0, 0])  # an odd number of 54 bits, times 2^shift
    assert (true >> shift) % 2 == 1
    assert all(entry != true for entry in combined(product, V).ravel())
