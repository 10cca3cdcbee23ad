import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.golden.trees import Tree
from tests.unlearn_server.log import rfc9162
from unlearn_server.log.merkle import Coordinate, Frontier, consistency_proof, inclusion_proof

SMALL = 70
LEAVES = [b"leaf %d" % index for index in range(5000)]
TREE = Tree(LEAVES)


def draw_sizes(data: st.DataObject) -> tuple[int, int]:
    new = data.draw(st.integers(1, len(LEAVES)))
    return data.draw(st.integers(1, new)), new


@pytest.mark.parametrize("size", range(SMALL + 1))
def test_the_root_is_the_recursive_one(size: int) -> None:
    assert TREE.root(size) == rfc9162.tree_hash(LEAVES[:size])


def test_the_root_of_the_empty_tree_is_that_of_no_bytes() -> None:
    assert Frontier().root == hashlib.sha256(b"").digest()


@given(st.integers(0, len(LEAVES)))
def test_the_root_of_a_large_tree_is_the_recursive_one(size: int) -> None:
    assert TREE.root(size) == rfc9162.tree_hash(LEAVES[:size])


@given(st.lists(st.binary(max_size=70), max_size=20))
def test_any_leaves_make_the_recursive_root(leaves: list[bytes]) -> None:
    assert Tree(leaves).root(len(leaves)) == rfc9162.tree_hash(leaves)


def test_every_complete_node_is_told_once_and_right() -> None:
    size, told = SMALL, Tree(LEAVES[:SMALL]).stored
    complete = {
        Coordinate(level, place)
        for level in range(size.bit_length())
        for place in range(size >> level)
    }
    assert set(told) == complete
    for (level, place), hashed in told.items():
        below = LEAVES[place << level : (place + 1) << level]
        assert hashed == rfc9162.tree_hash(below)


def test_an_append_tells_only_what_it_completes() -> None:
    counts = [len(frontier.append(bytes(32))[1]) for frontier in TREE.frontiers[: len(LEAVES)]]
    # One more node than trailing ones of the size; so two nodes a leaf at most, over time.
    assert counts == [1 + ((~n & (n + 1)).bit_length() - 1) for n in range(len(LEAVES))]


@pytest.mark.parametrize("size", range(1, SMALL + 1))
def test_inclusion_proofs_are_the_recursive_ones(size: int) -> None:
    for index in range(size):
        path = TREE.inclusion(index, size)
        assert path == rfc9162.inclusion_path(index, LEAVES[:size])
        assert rfc9162.includes(TREE.stored[0, index], index, size, path, TREE.root(size))


@pytest.mark.parametrize("new", range(1, SMALL + 1))
def test_consistency_proofs_are_the_recursive_ones(new: int) -> None:
    for old in range(1, new + 1):
        path = TREE.consistency(old, new)
        assert path == rfc9162.consistency_path(old, LEAVES[:new])
        assert rfc9162.begins(old, new, path, TREE.root(old), TREE.root(new))


@given(st.data())
def test_inclusion_proofs_in_large_trees_verify_and_nothing_near_them_does(
    data: st.DataObject,
) -> None:
    index, size = draw_sizes(data)
    index -= 1
    hashed, root, path = TREE.stored[0, index], TREE.root(size), TREE.inclusion(index, size)
    assert rfc9162.includes(hashed, index, size, path, root)
    assert not rfc9162.includes(bytes(32), index, size, path, root)
    assert not rfc9162.includes(hashed, index, size, path, bytes(32))
    other = data.draw(st.integers(0, size - 1).filter(lambda i: i != index)) if size > 1 else 1
    assert not rfc9162.includes(hashed, other, size, path, root)


@given(st.data())
def test_consistency_proofs_of_large_trees_verify_and_nothing_near_them_does(
    data: st.DataObject,
) -> None:
    old, new = draw_sizes(data)
    path = TREE.consistency(old, new)
    assert rfc9162.begins(old, new, path, TREE.root(old), TREE.root(new))
    assert not rfc9162.begins(old, new, path, bytes(32), TREE.root(new))
    assert not rfc9162.begins(old, new, path, TREE.root(old), bytes(32))


@given(st.data())
def test_a_proof_fetches_once_and_little(data: st.DataObject) -> None:
    old, new = draw_sizes(data)
    for prove in (inclusion_proof, consistency_proof):
        fetches: list[Sequence[Coordinate]] = []

        def nodes(wanted: Sequence[Coordinate], fetches: list[Sequence[Coordinate]] = fetches):
            fetches.append(wanted)
            return [TREE.stored[each] for each in wanted]

        prove(old - 1 if prove is inclusion_proof else old, new, nodes)
        assert len(fetches) == 1
        assert len(fetches[0]) <= 2 * new.bit_length()


@given(st.integers(0, len(LEAVES)))
def test_a_stored_frontier_goes_on_as_before(size: int) -> None:
    frontier = TREE.frontiers[size]
    assert Frontier.from_bytes(frontier.to_bytes()) == frontier


def test_a_frontier_is_a_size_and_a_hash_for_each_of_its_bits() -> None:
    stored = TREE.frontiers[5].to_bytes()
    assert stored == (5).to_bytes(8) + TREE.stored[2, 0] + TREE.stored[0, 4]


@pytest.mark.parametrize("cut", [b"", bytes(7), (3).to_bytes(8) + bytes(63), bytes(9)])
def test_a_frontier_that_was_cut_is_refused(cut: bytes) -> None:
    with pytest.raises(ValueError, match=r"^frontier: its edge does not fit its size"):
        Frontier.from_bytes(cut)


@pytest.mark.parametrize(("index", "size"), [(-1, 5), (5, 5), (0, 0)])
def test_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match=f"^index: {index} is no leaf of a tree of size {size}"):
        TREE.inclusion(index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 5), (6, 5), (-1, 5)])
def test_no_proof_of_a_tree_that_is_not_there(old: int, new: int) -> None:
    with pytest.raises(ValueError, match=f"^old size: {old} is not within 1 and the new size"):
        TREE.consistency(old, new)
