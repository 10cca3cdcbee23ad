"""Rows that come and go by their content, against a list of them."""

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlearning.errors import InconsistentStateError
from unlearning.multiset import RowMultiset

Row = tuple[tuple[int, int], int]
ROWS = st.lists(st.tuples(st.tuples(*[st.sampled_from([-(2**14), 0, 1])] * 2), st.integers(0, 1)))


def held(rows: list[Row], *, is_core: bool = False) -> RowMultiset:
    made = RowMultiset(2, is_core=is_core)
    made.add(*arrays(rows))
    return made


def arrays(rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    psi = np.array([psi for psi, _ in rows], np.int16).reshape(-1, 2)
    return psi, np.array([label for _, label in rows], np.int64)


def content(rows: RowMultiset) -> Counter[Row]:
    psi, labels = rows.arrays()
    assert (psi.dtype, labels.dtype) == (np.int16, np.int32)
    return Counter(zip(map(tuple, psi.tolist()), labels.tolist(), strict=True))


@given(ROWS, ROWS, st.data())
@settings(max_examples=100)
def test_it_holds_what_came_and_has_not_gone_whatever_the_order(
    first: list[Row], second: list[Row], data: st.DataObject
) -> None:
    rows = held(first)
    rows.add(*arrays(second))
    gone = data.draw(st.permutations(first + second))[: len(second)]
    rows.remove(*arrays(gone))
    left = Counter(first + second) - Counter(gone)
    assert content(rows) == left
    assert len(rows) == left.total() == len(rows.digests())
    again = held(data.draw(st.permutations(list(left.elements()))))
    assert rows.digests() == again.digests() == sorted(again.digests())
    for ours, theirs in zip(rows.arrays(), again.arrays(), strict=True):
        assert (ours == theirs).all()


@pytest.mark.parametrize(
    "gone", [[((1, 2), 1)], [((1, 3), 0)], [((1, 2), 0)] * 3, [((1, 2), 0), ((9, 9), 0)]]
)
def test_a_row_that_is_not_held_is_refused_and_nothing_goes(gone: list[Row]) -> None:
    rows = held([((1, 2), 0), ((1, 2), 0), ((4, 5), 1)])
    before = content(rows)
    with pytest.raises(InconsistentStateError):
        rows.remove(*arrays(gone))
    assert content(rows) == before


def test_label_kind_and_every_feature_make_the_digest() -> None:
    one = [((1, 2), 0)]
    alike = [held(one), held(one), held(one, is_core=True)]
    alike += [held([row]) for row in (((1, 2), 1), ((2, 1), 0), ((1, 3), 0), ((0, 2), 0))]
    assert len({tuple(rows.digests()) for rows in alike}) == len(alike) - 1


def test_memory_of_rows_that_go_is_given_back() -> None:
    rng = np.random.default_rng(0)
    psi, labels = rng.integers(-9, 9, (200, 5000)).astype(np.int16), np.zeros(200, np.int64)
    rows = RowMultiset(5000, is_core=False)
    tracemalloc.start()
    try:
        rows.add(psi, labels)
        full, _ = tracemalloc.get_traced_memory()
        for half in (slice(0, 200, 2), slice(1, 200, 2)):
            rows.remove(psi[half], labels[half])
            left, _ = tracemalloc.get_traced_memory()
            assert left < (full / 2 + 1e5 if half.start == 0 else 1e5)
    finally:
        tracemalloc.stop()
    assert full > psi.nbytes


def test_adding_does_not_keep_the_callers_batch() -> None:
    psi = np.array([[1, 2]], np.int16)
    rows = RowMultiset(2, is_core=False)
    rows.add(psi, np.array([0]))
    psi[:] = 7
    assert content(rows) == {((1, 2), 0): 1}
    rows.arrays()[0][:] = 7
    assert content(rows) == {((1, 2), 0): 1}
