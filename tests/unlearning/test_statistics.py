"""The statistics against sums in Python's integers, and their limits."""

import random
from collections.abc import Callable
from dataclasses import dataclass
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


def arrays(rows: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> tuple[Integers, Integers]:
    psi = np.array([psi for psi, _ in rows], np.int64).reshape(-1, D)
    t = np.array([t for _, t in rows], np.int64).reshape(-1, C)
    return psi, t


def sums(psi: Integers, t: Integers, copies: int = 1) -> list[Any]:
    """n, the lower triangle of G, B and sum t^2 in Python's integers."""
    rows, goals = psi.astype(object), t.astype(object)
    G = [[int((rows[:, a] * rows[:, b]).sum()) * copies for b in range(a + 1)] for a in range(D)]
    B = [[int((rows[:, a] * goals[:, c]).sum()) * copies for c in range(C)] for a in range(D)]
    return [len(psi) * copies, G, B, [int((goals[:, c] ** 2).sum()) * copies for c in range(C)]]


def held(statistics: Statistics) -> list[Any]:
    G = [[int(entry) for entry in row[: a + 1]] for a, row in enumerate(statistics.G)]
    B = [[int(entry) for entry in row] for row in statistics.B]
    return [statistics.n, G, B, [int(entry) for entry in statistics.target_squares]]


@given(
    rows=st.lists(st.tuples(ROWS, st.booleans(), st.booleans()), min_size=1, max_size=16),
    near_capacity=st.booleans(),
    luck=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=150)
def test_any_history_holds_the_integer_sums_of_what_remains(
    statistics_of: StatisticsOf,
    rows: list[Any],
    near_capacity: bool,
    luck: random.Random,
) -> None:
    copies = NEAR_CAPACITY if near_capacity else 0
    base = arrays([((FEATURE, -FEATURE, FEATURE), (FEATURE, 1))])
    sides = [statistics_of(*base, RIDGE, copies), Statistics(D, C, RIDGE)]
    events = [(i, 1) for i in range(len(rows))] + [
        (i, -1) for i, (_, leaves, _) in enumerate(rows) if leaves
    ]
    luck.shuffle(events)
    batch: list[int] = []
    side, sign = 0, 1
    seen: set[int] = set()

    def flush() -> None:
        psi, t = arrays([rows[i][0] for i in batch])
        (sides[side].add if sign > 0 else sides[side].subtract)(psi, t)
        batch.clear()

    for i, _ in events:
        event = (int(rows[i][2]), -1 if i in seen else 1)
        seen.add(i)
        if event != (side, sign) or luck.random() < 0.4:
            flush()
        side, sign = event
        batch.append(i)
    flush()
    merged = sides[luck.randrange(2)].copy()
    merged.merge(sides[1] if held(merged) == held(sides[0]) else sides[0])

    psi, t = arrays([row for row, leaves, _ in rows if not leaves])
    expected = [sums(psi, t), sums(*base, copies)]
    total = [
        expected[0][0] + expected[1][0],
        *((np.array(a, object) + np.array(b, object)).tolist() for a, b in zip(
            [flat(part) for part in expected[0][1:]],
            [flat(part) for part in expected[1][1:]],
            strict=True,
        )),
    ]
    assert [held(merged)[0], *(flat(part) for part in held(merged)[1:])] == total


def flat(part: list[Any]) -> list[int]:
    return [entry for row in part for entry in row] if isinstance(part[0], list) else part
