"""Exact products against Python's integers, at the largest magnitudes they allow."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unlearning import blas, gram, limbs
from unlearning.gram import GramMatrix

Floats = NDArray[np.float64]
GramOf = Callable[[Any], GramMatrix]

WIDTHS = [1, 2, 63, 64, 65, 128, 257]
DIAGONALS = [0, 1, 2, 3, 4, 2**26 - 1, 2**26, 2**45 + 1, 2**52 - 1, 2**52, 2**53 - 1]


def whole(lower: Any) -> NDArray[Any]:
    """The symmetric matrix, in Python's integers."""
    kept = np.tril(lower).astype(np.int64).astype(object)
    return np.asarray(kept + np.tril(kept, -1).T)


def none(V: NDArray[Any]) -> Floats:
    return np.zeros((len(V), 0))


def longest(G: GramMatrix) -> list[int]:
    """The longest digit of each limb: one more, and a float64 might not hold a sum."""
    return [(2**53 - 1) // limb.norm for limb in G.limbs()] or [2**53 - 1]


def check_product(G: GramMatrix, lower: Any, V: NDArray[np.int64]) -> None:
    exact, _ = limbs.product(G, V.astype(np.float64), none(V))
    matrix = whole(lower)
    modulo_64_bits = matrix.astype(np.int64).view(np.uint64)
    assert (exact.modular == modulo_64_bits @ V.view(np.uint64)).all()  # NumPy, without BLAS
    few = np.unique(np.linspace(0, len(G) - 1, 20).astype(int))
    expected = matrix[few].dot(V.astype(object))
    assert (exact.modular[few].astype(object) == expected % 2**64).all()
    magnitude = exact.magnitude[few]
    difference = exact.value[few] - expected.astype(np.float64)
    assert (np.abs(difference) <= 2.0**-48 * magnitude).all()
    assert (magnitude * (1 + 2.0**-40) >= np.abs(expected).astype(np.float64)).all()


def around_digits(G: GramMatrix, rng: np.random.Generator) -> NDArray[np.int64]:
    """Columns of entries all alike, about the longest digits and beyond, and one of any."""
    d, tops = len(G), {1, 2**30, 2**53 - 1}
    for digit in longest(G):
        tops |= {digit - 1, digit, digit + 1, 2 * digit - 1, 2 * digit + 1, 4 * digit - 1}
    alike = [np.full(d, top) for top in sorted(tops) if top < 2**53]
    below = [column - rng.integers(0, column // 8 + 1) for column in alike]
    mixed = [column * rng.choice([-1, 1], d) for column in alike + below]
    return np.array([*alike, *below, *mixed, rng.integers(1 - 2**53, 2**53, d)], np.int64).T


@pytest.fixture(params=[0, gram._LARGEST_NORM], ids=["always split", "split if large"])
def largest_norm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(gram, "_LARGEST_NORM", request.param)
    return int(request.param)


@pytest.mark.usefixtures("largest_norm")
@pytest.mark.parametrize("signs", ["equal", "mixed"])
@pytest.mark.parametrize("top", DIAGONALS)
@pytest.mark.parametrize("d", WIDTHS)
def test_the_product_is_exact_at_the_longest_digits_and_beyond(
    gram_of: GramOf, d: int, top: int, signs: str
) -> None:
    rng = np.random.default_rng(d)
    entries = rng.integers(top - top // 8, top, (d, d), endpoint=True)
    lower = np.tril(entries if signs == "equal" else entries * rng.choice([-1, 1], (d, d)))
    lower[np.diag_indices(d)] = top
    G = gram_of(lower)
    V = around_digits(G, rng)
    check_product(G, lower, V)
    check_product(G, lower, V[:, -1:])  # a vector at a time


@pytest.mark.parametrize("columns", [1, blas._VECTORS, blas._VECTORS + 1])
@pytest.mark.parametrize(("d", "top"), [(257, 2**26 - 1), (63, 2**41 + 1), (1024, 2**25 - 1)])
def test_with_one_limb_the_product_is_exact_for_as_many_columns_as_come(
    gram_of: GramOf, d: int, top: int, columns: int
) -> None:
    rng = np.random.default_rng(d)
    lower = np.tril(rng.integers(-top, top, (d, d), endpoint=True))
    lower[np.diag_indices(d)] = top
    G = gram_of(lower)
    assert len(G.limbs()) == 1
    V = rng.choice([-1, 1], (d, columns)) * rng.integers(2**52, 2**53, (d, columns))
    check_product(G, lower, V)


@given(
    d=st.integers(1, 5),
    top=st.integers(0, 2**53 - 1),
    largest_norm=st.sampled_from([0, 2**20, gram._LARGEST_NORM]),
    data=st.data(),
    classes=st.integers(1, 5),
)
@settings(max_examples=100)
def test_the_product_is_exact_for_any_entries(
    gram_of: GramOf, d: int, top: int, largest_norm: int, data: st.DataObject, classes: int
) -> None:
    entries = data.draw(st.lists(st.integers(-top, top), min_size=d * d, max_size=d * d))
    lower = np.tril(np.array(entries, np.int64).reshape(d, d))
    lower[0, 0] = top
    lower[np.diag_indices(d)] = np.abs(lower.diagonal())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gram, "_LARGEST_NORM", largest_norm)
        G = gram_of(lower)
        digits = [sign * digit for digit in longest(G) for sign in (-1, 1)]
        values = st.one_of(st.sampled_from(digits), st.integers(1 - 2**53, 2**53 - 1))
        V = data.draw(st.lists(values, min_size=d * classes, max_size=d * classes))
        check_product(G, lower, np.array(V, np.int64).reshape(d, classes))


@pytest.mark.parametrize(("d", "entry"), [(63, 2**26 - 1), (255, 2**26 - 1), (257, 2**26 - 5)])
def test_one_more_than_the_longest_digit_would_be_rounded(
    gram_of: GramOf, d: int, entry: int
) -> None:
    """So no limit that is any looser would do."""
    lower = np.full((d, d), entry)
    G = gram_of(lower)
    (digit,) = longest(G)
    true = d * entry * (digit + 1)
    assert true > 2**53
    assert true % 2
    beyond = np.full((d, 1), digit + 1)
    rounded = blas.symmetric_product(G._fine.triangle, beyond.astype(np.float64))
    assert all(int(value) != true for value in rounded.ravel())
    check_product(G, lower, beyond)


@pytest.mark.usefixtures("largest_norm")
@pytest.mark.parametrize("top", [2**10 + 1, 2**45 + 1, 2**53 - 1])
@pytest.mark.parametrize("d", [1, 64, 65, 130])
@pytest.mark.parametrize("columns", [1, 5])
def test_the_product_in_floats_is_off_by_no_more_than_its_terms_allow(
    gram_of: GramOf, d: int, top: int, columns: int
) -> None:
    rng = np.random.default_rng(d)
    lower = np.tril(rng.integers(-top, top, (d, d), endpoint=True))
    lower[np.diag_indices(d)] = top
    G = gram_of(lower)
    units = rng.integers(-(2**52), 2**52, (d, columns))
    Y = np.asfortranarray(units * 2.0**-53)
    V = rng.integers(-(2**40), 2**40, (d, 2)).astype(np.float64)
    exact, rounded = limbs.product(G, V, Y)  # both in one pass
    assert (exact.modular == limbs.product(G, V, none(V))[0].modular).all()
    magnitudes = [whole(np.abs(limb.triangle)) for limb in G.limbs()]
    terms = np.sum(magnitudes, axis=0).dot(np.abs(units))
    true = whole(lower).dot(units.astype(object))
    in_units = np.vectorize(int, otypes=[object])(rounded * 2.0**53)
    assert (np.abs(in_units - true) * 2**53 <= (d + 2) * terms).all()


def test_without_rows_the_product_is_zero() -> None:
    V = np.full((3, 2), 2.0**52)
    exact, rounded = limbs.product(GramMatrix(3), V, V)
    assert not exact.modular.any()
    assert not rounded.any()
