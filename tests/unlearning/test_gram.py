"""The Gram matrix and its limbs, against integer sums of the rows that remain."""

from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from unlearning import gram, limbs
from unlearning.gram import GramMatrix

Integers = NDArray[np.int64]

WIDTHS = [1, 2, 3, 63, 64, 65, 128, 130]  # columns go through in strips of 64
LARGEST = 2**26
"""Squared, and twice, it is half of what an entry of G can hold."""


class Sums:
    """G as integers, all of it; NumPy multiplies and adds int64 without BLAS."""

    def __init__(self, width: int) -> None:
        self.G = np.zeros((width, width), np.int64)

    def hold(self, rows: Integers) -> bool:
        """Whether G could hold the rows as well."""
        return int((self.G.diagonal() + (rows * rows).sum(axis=0)).max(initial=0)) < 2**53

    def add(self, rows: Integers) -> None:
        self.G += rows.T @ rows

    def subtract(self, rows: Integers) -> None:
        self.G -= rows.T @ rows

    def merge(self, other: Self) -> None:
        self.G += other.G


def symmetric(lower: Any) -> Integers:
    """The matrix that a lower triangle stands for; float64 that are no integers fail."""
    kept = np.tril(lower)
    entries = kept.astype(np.int64)
    assert (entries == kept).all()
    return np.asarray(entries + np.tril(entries, -1).T)


def check(G: GramMatrix, sums: Sums) -> None:
    """That nothing was rounded, and that what the limbs say of themselves is true."""
    expected = sums.G
    assert (symmetric(G.entries()) == expected).all()
    assert (G.diagonal == expected.diagonal()).all()
    for start, stop in ((0, 1), (0, 64), (64, 128), (1, 66), (0, len(expected) + 9)):
        strip = G.strip(start, stop)
        stop = min(stop, len(expected))
        assert strip.shape == (max(0, len(expected) - start), max(0, stop - start))
        for column in range(start, stop):  # from the diagonal down
            assert (strip[column - start :, column - start] == expected[column:, column]).all()
    sound(G)


def sound(G: GramMatrix) -> None:
    """That norms are bounds, on multiples of 2^shift that float64 holds exactly."""
    for limb in (G._coarse, G._fine):
        entries = symmetric(limb.triangle)
        assert (entries % (1 << limb.shift) == 0).all()
        units = np.abs(entries >> limb.shift)
        assert int(units.max()) < 2**53
        assert int(units.sum(axis=1).max()) <= limb.norm  # below 2^63: they are few


def check_products(G: GramMatrix, sums: Sums, rng: np.random.Generator) -> None:
    """Whatever the limbs are, integers are multiplied by their sum."""
    V = rng.integers(-(2**53), 2**53, (len(G), 2)) >> rng.integers(0, 53, (len(G), 2))
    exact = limbs.product(G, V.astype(np.float64), np.zeros((len(G), 0)))[0]
    expected = sums.G.view(np.uint64) @ V.view(np.uint64)  # modulo 2^64
    assert (exact.modular == expected).all()


def rows_of(seed: int, width: int, kind: str) -> Integers:
    rng = np.random.default_rng(seed)
    top = int(rng.choice([1, 3, 2**10, 2**14, 2**20, LARGEST]))
    k = int(rng.choice([1, 1, 2, 5]))
    if kind == "largest":
        return top * rng.choice([-1, 1], (k, width))
    if kind == "equal":
        return np.full((k, width), top - 1)
    if kind == "rare":
        return top * (rng.random((k, width)) < 0.02).astype(np.int64)
    return rng.integers(-top, top, (k, width), endpoint=True)


EVENTS = st.tuples(
    st.sampled_from(["add", "add", "subtract", "merge", "settle", "limbs", "products"]),
    st.sampled_from(["any", "largest", "equal", "rare"]),
    st.integers(0, 2**32 - 1),
)


@given(
    width=st.sampled_from(WIDTHS) | st.integers(1, 130),
    largest_norm=st.sampled_from([0, 2**10, 2**30, 2**45, gram._LARGEST_NORM]),
    events=st.lists(EVENTS, min_size=1, max_size=16),
)
@settings(max_examples=150)
def test_after_any_history_it_is_the_sum_of_the_rows_that_remain(
    width: int, largest_norm: int, events: list[tuple[str, str, int]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gram, "_LARGEST_NORM", largest_norm)
        G, sums = GramMatrix(width), Sums(width)
        held: list[Integers] = []
        for event, kind, seed in events:
            rows = rows_of(seed, width, kind)
            if event == "add" and sums.hold(rows):
                G.add(rows.astype(np.float64))
                sums.add(rows)
                held.append(rows)
            elif event == "subtract" and held:
                rows = held.pop(seed % len(held))
                G.subtract(rows.astype(np.float64))
                sums.subtract(rows)
            elif event == "merge" and sums.hold(rows):
                other = GramMatrix(width)
                other.add(rows.astype(np.float64))
                other.limbs()
                G.merge(other)
                sums.add(rows)
                held.append(rows)
            elif event == "settle":
                G.settle()
            elif event == "limbs":
                assert all(limb.norm for limb in G.limbs())
            elif event == "products":
                check_products(G, sums, np.random.default_rng(seed))
            check(G, sums)


def copies(rows: Integers, doublings: int) -> tuple[GramMatrix, Sums]:
    """A Gram matrix of rows held 2^doublings times."""
    G, sums = GramMatrix(rows.shape[1]), Sums(rows.shape[1])
    G.add(rows.astype(np.float64))
    sums.add(rows)
    for _ in range(doublings):
        twin = GramMatrix(len(G))
        twin.merge(G)
        G.merge(twin)
        sums.G *= 2
    return G, sums


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("width", [*WIDTHS, 257])
def test_a_matrix_of_52_bits_is_split_and_rows_come_and_go(width: int, threads: int) -> None:
    rng = np.random.default_rng(width)
    base = rng.integers(2**13, 2**14, (2, width), endpoint=True) * rng.choice([-1, 1], (2, width))
    with threadpool_limits(threads, "blas"):
        G, sums = copies(base, 23)
        assert 2**50 < sums.G.max() < 2**53
        assert len(G.limbs()) == 2
        for _ in range(3):
            rows = rng.integers(-(2**14), 2**14, (200, width), endpoint=True)
            G.add(rows.astype(np.float64))
            sums.add(rows)
            G.subtract(rows[:50].astype(np.float64))
            sums.subtract(rows[:50])
            check(G, sums)
            assert len(G.limbs()) == 2
            check_products(G, sums, rng)
        G.settle()
        check(G, sums)


@pytest.mark.parametrize("width", [1, 2, 65])
def test_limbs_are_bounded_though_all_that_is_rounded_is_rounded_up(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr(gram, "_LARGEST_NORM", 0)
    G, sums, one = GramMatrix(width), Sums(width), np.ones((1, width), np.int64)
    for _ in range(70):  # all entries are alike
        G.add(one.astype(np.float64))
        sums.add(one)
        G.limbs()
        check(G, sums)


@pytest.mark.parametrize(("there", "back"), [([2], [1, 1]), ([1, 1], [1, 1]), ([1], [2])])
def test_entries_that_change_their_sign_by_54_bits_stay_exact(
    there: list[int], back: list[int]
) -> None:
    """The coarse limb stays as it is while the fine one goes all the way."""
    row = np.array([[LARGEST - 1, LARGEST - 1]])
    mirrored = row * [[1, -1]]
    G, sums = GramMatrix(2), Sums(2)

    def change(rows: Integers, sign: int) -> None:
        (G.add if sign > 0 else G.subtract)(rows.astype(np.float64))
        (sums.add if sign > 0 else sums.subtract)(rows)
        check(G, sums)

    for k in there:
        change(np.repeat(mirrored, k, axis=0), 1)
    assert len(G.limbs()) == 2
    for k in there:
        change(np.repeat(mirrored, k, axis=0), -1)
    for k in back:
        change(np.repeat(row, k, axis=0), 1)
    assert sums.G[1, 0] == sum(back) * (LARGEST - 1) ** 2 < 2**53
