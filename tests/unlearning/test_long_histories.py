"""Erasure after erasure, against a model that was only ever given the rows that remain."""

from collections.abc import Callable

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tests.unlearning.population import Population
from unlearning import gram
from unlearning.objective import Objective

Make = Callable[..., Objective]


def test_ten_thousand_erasures_leave_the_bits_of_the_thousand_rows_that_remain(
    objective_of: Make,
) -> None:
    rows = Population(objective_of(width=16, classes=3, ridge=2.0**-12), 11_000, seed=1)
    rows.add(np.arange(11_000))
    rows.compare()
    order = rows.rng.permutation(11_000)[:10_000]
    for turn, gone in enumerate(np.split(order, 40)):
        with threadpool_limits(1 + turn % 2, "blas"):
            for row in gone:
                rows.erase([row])
                rows.model.solve()
                if rows.rng.random() < 0.3:
                    rows.model.maintain()
        rows.compare()
    assert rows.held.sum() == rows.model.everything.n == 1000


@pytest.mark.parametrize(("erasures", "split"), [(300, False), (60, True)], ids=["whole", "split"])
def test_at_full_width_erasures_leave_the_bits_of_what_remains(
    objective_of: Make, monkeypatch: pytest.MonkeyPatch, erasures: int, split: bool
) -> None:
    if split:
        monkeypatch.setattr(gram, "_LARGEST_NORM", 2**36)
    rows = Population(objective_of(width=1281, classes=10), 1500, seed=2, core=100)
    rows.add(np.arange(1500))
    rows.model.solve()
    for turn in range(3):
        with threadpool_limits(1 + turn % 2, "blas"):
            for _ in range(erasures // 3):
                rows.erase(rows.some(1))
                rows.model.solve()
                if rows.rng.random() < 0.1:
                    rows.model.maintain()
        rows.compare()
    assert len(rows.model.everything.G.limbs()) == 1 + split


D = 40


def one_leaves(rows: Population) -> None:
    rows.erase(rows.some(1))


def a_group_leaves(rows: Population) -> None:
    rows.erase(rows.some(int(rows.rng.integers(2, D // 4 + 1))))


def more_than_a_quarter_of_the_width_leave(rows: Population) -> None:
    rows.erase(rows.some(D // 4 + 1))


def two_leave_before_a_solve(rows: Population) -> None:
    for k in (1, 2):
        rows.erase(rows.some(k))


def some_come_back(rows: Population) -> None:
    chosen = rows.some(3)
    rows.erase(chosen)
    rows.model.solve()
    rows.add(chosen)
    rows.erase(rows.some(1))


WAYS = [
    one_leaves,
    a_group_leaves,
    more_than_a_quarter_of_the_width_leave,
    two_leave_before_a_solve,
    some_come_back,
]


@pytest.mark.parametrize("largest_norm", [gram._LARGEST_NORM, 2**30], ids=["whole", "split"])
@pytest.mark.parametrize(
    ("ways", "threads"),
    [*(pytest.param([way], 1, id=way.__name__) for way in WAYS)]
    + [pytest.param(WAYS, threads, id=f"any of these, {threads} threads") for threads in (1, 2)],
)
def test_however_rows_leave_the_bits_are_those_of_what_remains(
    objective_of: Make,
    monkeypatch: pytest.MonkeyPatch,
    ways: list[Callable[[Population], None]],
    largest_norm: int,
    threads: int,
) -> None:
    monkeypatch.setattr(gram, "_LARGEST_NORM", largest_norm)
    rows = Population(objective_of(width=D, classes=4, ridge=2.0**-10), 900, seed=3, core=150)
    with threadpool_limits(threads, "blas"):
        rows.add(np.arange(900))
        for _ in range(40):
            ways[rows.rng.integers(len(ways))](rows)
            if rows.rng.random() < 0.3:
                rows.model.maintain()
            rows.compare()


def test_rows_leave_until_none_is_left(objective_of: Make) -> None:
    rows = Population(objective_of(width=12, classes=1, ridge=2.0**-20), 60, seed=4)
    rows.add(np.arange(60))
    while rows.held.any():
        rows.compare()
        rows.erase(rows.some(1))
        rows.model.maintain()
    rows.compare()
    assert not rows.model.solve().weights.any()
