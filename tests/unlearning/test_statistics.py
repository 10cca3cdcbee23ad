"""The statistics against sums in Python's integers, and their limits."""

import random
from collections.abc import Callable
from math import isqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from unlearning.errors import CapacityError
from unlearning.statistics import ROWS_AT_ONCE, Statistics

StatisticsOf = Callable[..., Statistics]
Bits = Callable[[Statistics], tuple[Any, ...]]
Integers = NDArray[np.int64]

D, C, RIDGE = 3, 2, 2**40 + 1
FEATURE, TARGET = 2**14, 2**18
NEAR_CAPACITY = 2**24
"""Copies of a row of largest entries that bring G to 2^52, half of what it can hold."""

ENTRIES = st.one_of(st.sampled_from([0, 1, -1, FEATURE, -FEATURE]), st.integers(-FEATURE, FEATURE))
GOALS = st.one_of(st.sampled_from([0, 1, TARGET, -TARGET]), st.integers(-TARGET, TARGET))
ROWS = st.tuples(st.tuples(*[ENTRIES] * D), st.tuples(*[GOALS] * C))


def arrays(rows: list[Any]) -> tuple[Integers, Integers]:
    psi = np.array([psi for psi, _ in rows], np.int64).reshape(-1, D)
    t = np.array([t for _, t in rows], np.int64).reshape(-1, C)
    return psi, t


def numbers(n: int, G: Any, B: Any, target_squares: Any) -> list[int]:
    lower = np.asarray(G)[np.tril_indices(len(G))]
    return [int(value) for value in (n, *lower, *np.ravel(B), *target_squares)]


def sums(psi: Integers, t: Integers) -> list[int]:
    """What statistics of the rows must hold, in Python's integers."""
    rows, goals = psi.astype(object), t.astype(object)
    return numbers(len(psi), rows.T @ rows, rows.T @ goals, (goals**2).sum(axis=0))


def held(statistics: Statistics) -> list[int]:
    return numbers(statistics.n, statistics.G.entries(), statistics.B, statistics.target_squares)


@given(
    rows=st.lists(st.tuples(ROWS, st.booleans(), st.booleans()), min_size=1, max_size=16),
    copies=st.sampled_from([0, NEAR_CAPACITY]),
    luck=st.randoms(use_true_random=False),
)
@settings(max_examples=150)
def test_any_history_holds_the_integer_sums_of_what_remains(
    statistics_of: StatisticsOf, rows: list[Any], copies: int, luck: random.Random
) -> None:
    base = [(FEATURE, -FEATURE, FEATURE)], [(FEATURE, 1)]
    parts = [statistics_of(*base, RIDGE, copies), Statistics(D, C, RIDGE)]
    visits = [i for i, (_, leaves, _) in enumerate(rows) for _ in range(1 + leaves)]
    luck.shuffle(visits)  # a row's first visit adds it, its second takes it back
    added: set[int] = set()
    batches: list[tuple[int, bool, list[Any]]] = []
    for i in visits:
        row, _, part = rows[i]
        if not (batches and batches[-1][:2] == (part, i in added) and luck.random() < 0.7):
            batches.append((part, i in added, []))
        batches[-1][2].append(row)
        added.add(i)
    for part, leaves, batch in batches:
        (parts[part].subtract if leaves else parts[part].add)(*arrays(batch))
    luck.shuffle(parts)
    merged = parts[0].copy()
    merged.merge(parts[1])

    remaining = sums(*arrays([row for row, leaves, _ in rows if not leaves]))
    held_before = sums(*map(np.array, base))
    expected = [a + copies * b for a, b in zip(remaining, held_before, strict=True)]
    assert held(merged) == expected


def test_more_rows_than_one_block_are_all_counted() -> None:
    rows = np.arange(3 * (2 * ROWS_AT_ONCE + 1)).reshape(-1, D) - FEATURE
    targets = rows[:, :C] * 3
    statistics = Statistics(D, C, RIDGE)
    statistics.add(rows.astype(np.int16), targets)
    assert held(statistics) == sums(rows, targets)


def test_a_copy_changes_on_its_own(statistics_of: StatisticsOf, bits: Bits) -> None:
    first = statistics_of([[1, 2, 3]], [[4, 5]], RIDGE)
    before, twin = bits(first), first.copy()
    twin.add(*arrays([((1, 1, 1), (1, 1))]))
    assert bits(first) == before != bits(twin)


@pytest.fixture(scope="module")
def wide() -> tuple[Integers, Integers]:
    rng = np.random.default_rng(7)
    psi = rng.integers(-(2**10), 2**10, (3000, 301))
    psi[:, 0] = rng.integers(-FEATURE, FEATURE, 3000, endpoint=True)
    return psi, rng.integers(-(2**9), 2**9, (3000, 4))


@pytest.mark.parametrize("threads", [1, 2])
def test_any_number_of_threads_gives_the_integer_sums(
    statistics_of: StatisticsOf, wide: tuple[Integers, Integers], threads: int
) -> None:
    psi, t = wide
    copies = 2**15 - 1  # G reaches 2^52
    with threadpool_limits(threads, "blas"):
        statistics = statistics_of(psi[:1500], t[:1500], 2**50 + 1, copies)
        statistics.add(psi, t)
        statistics.subtract(psi[1500:], t[1500:])
    G = psi[:1500].T @ psi[:1500] * (copies + 1)  # NumPy multiplies int64 without BLAS
    B = psi[:1500].T @ t[:1500] * (copies + 1)
    assert int(G.max()) > 2**51
    assert (np.tril(statistics.G.entries()) == np.tril(G)).all()
    assert (statistics.B == B).all()


def at_the_limit(statistics_of: StatisticsOf, limit: str) -> tuple[Statistics, Any, Any]:
    """Statistics at a limit, and a row which three times still fits, but not a fourth time."""
    if limit == "gram":  # 2^53 - 4 + k < 2^53
        return statistics_of([[1]], [[0]], 2**20 + 1, 2**53 - 4), [1], [0]
    if limit == "moments":  # 2^51 (2^55 - 2^38 + k 2^36) < 2^106
        made = statistics_of([[FEATURE]], [[0]], 2**20 + 1, 2**23)
        made.merge(statistics_of([[0]], [[TARGET]], made.ridge, 2**19 - 4))
        return made, [0], [TARGET]
    if limit == "ridge":  # 2 (2^39 - 4 + k) + 1 <= 2^40
        return statistics_of([[1]], [[0]], 1, 2**39 - 4), [1], [0]
    if limit == "residual":  # 9 (128 (copies + k) + ridge) < 2^62
        ridge = 2**20 + 1
        copies = -((9 * ridge - 2**62) // (9 * 128)) - 4
        return statistics_of([[1] * 64], [[0]], ridge, copies), [1] * 64, [0]
    assert limit == "weights"  # (124 + k) 2^36 2^61 < 2^104
    return statistics_of([[0]], [[TARGET]], 1, 124), [0], [TARGET]


WORDS = {
    "gram": "round the statistics",
    "moments": "round the statistics",
    "ridge": "below 2\\^-40 of the Gram matrix",
    "residual": "residual leaves 64 bits",
    "weights": "weights could leave 53 bits",
}


@pytest.mark.parametrize("limit", WORDS)
def test_each_limit_is_kept_to_the_row_and_named(
    statistics_of: StatisticsOf, bits: Bits, limit: str
) -> None:
    statistics, psi, t = at_the_limit(statistics_of, limit)
    before = bits(statistics)
    with pytest.raises(CapacityError, match=f"only 3 .*{WORDS[limit]}") as refused:
        statistics.add(np.array([psi] * 7), np.array([t] * 7))
    assert refused.value.fits == 3
    assert bits(statistics) == before
    statistics.add(np.array([psi] * 3), np.array([t] * 3))
    with pytest.raises(CapacityError, match="only 0 "):
        statistics.add(np.array([psi]), np.array([t]))


def within_limits(numbers_held: list[int], d: int, ridge: int) -> bool:
    """What the engine may hold, in Python's integers, for a single class."""
    n_lower = d * (d + 1) // 2
    diagonal = [numbers_held[1 + a * (a + 3) // 2] for a in range(d)]
    target_squares = numbers_held[1 + n_lower + d]
    norm = 2 * sum(diagonal) + ridge
    return (
        max(diagonal) < 2**53
        and max(diagonal) * target_squares < 2**106
        and norm <= 2**40 * ridge
        and norm * (isqrt(d) + 1) < 2**62
        and target_squares * 2**60 * 2 < ridge * 2**104
    )


@given(
    limit=st.sampled_from(["gram", "moments", "ridge", "weights"]),
    rows=st.lists(
        st.tuples(
            st.one_of(st.sampled_from([0, 1]), ENTRIES), st.one_of(st.sampled_from([0, 1]), GOALS)
        ),
        max_size=12,
    ),
)
@settings(max_examples=150)
def test_fits_counts_the_rows_up_to_the_first_that_is_beyond_a_limit(
    statistics_of: StatisticsOf, limit: str, rows: list[tuple[int, int]]
) -> None:
    statistics = at_the_limit(statistics_of, limit)[0]
    psi, t = np.array(rows, np.int64).reshape(-1, 2, 1).transpose(1, 0, 2)
    before = held(statistics)
    fits = 0
    while fits < len(rows) and within_limits(
        [a + b for a, b in zip(before, sums(psi[: fits + 1], t[: fits + 1]), strict=True)],
        1,
        statistics.ridge,
    ):
        fits += 1
    if fits == len(rows):
        statistics.check_capacity(psi, t)
    else:
        with pytest.raises(CapacityError) as refused:
            statistics.check_capacity(psi, t)
        assert refused.value.fits == fits
    assert held(statistics) == before
