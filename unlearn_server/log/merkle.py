"""The Merkle tree of RFC 6962, section 2.1, grown at its right edge.

A node is complete once every leaf below it exists; it never changes after that. Complete
nodes are what a log stores: node (l, i) covers the leaves from i * 2^l to (i + 1) * 2^l.
Whatever else a root or a proof needs is hashed from them, at most two a level.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

HASH_BYTES = 32
_SIZE_BYTES = 8


class Coordinate(NamedTuple):
    """Which complete node: its level, 0 for leaves, and its place in that level."""

    level: int
    place: int


class Node(NamedTuple):
    """A complete node and its 32-byte hash."""

    coordinate: Coordinate
    hash: bytes


Nodes = Callable[[Sequence[Coordinate]], Sequence[bytes]]
"""Fetches the hashes of complete nodes, in the order asked for; called once a proof."""


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of level 0; its prefix keeps a leaf from passing for an inner node."""
    return hashlib.sha256(b"\0" + leaf).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree's right edge: all that appending and the root need of it.

    Attributes:
        size: leaves in the tree.
        edge: hashes of the largest complete subtrees that make it up, left to right, one
            for each bit set in ``size``.
    """

    size: int = 0
    edge: tuple[bytes, ...] = ()

    def append(self, hashed: bytes) -> tuple["Frontier", list[Node]]:
        """The tree with one more leaf, given its ``leaf_hash``, and the nodes this completes.

        The leaf's own node is the first; its ancestors follow, upwards.
        """
        edge, nodes = list(self.edge), [Node(Coordinate(0, self.size), hashed)]
        while self.size >> (len(nodes) - 1) & 1:
            hashed = _parent(edge.pop(), hashed)
            nodes.append(Node(Coordinate(len(nodes), self.size >> len(nodes)), hashed))
        return Frontier(self.size + 1, (*edge, hashed)), nodes

    @property
    def root(self) -> bytes:
        """The tree's hash; that of no bytes for the empty tree."""
        return _fold(self.edge) if self.edge else hashlib.sha256(b"").digest()

    def to_bytes(self) -> bytes:
        """The size as a big-endian uint64, then the edge."""
        return self.size.to_bytes(_SIZE_BYTES) + b"".join(self.edge)

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Frontier":
        """Reverses ``to_bytes``; raises ValueError if the edge does not fit the size."""
        size, edge = int.from_bytes(stored[:_SIZE_BYTES]), stored[_SIZE_BYTES:]
        if len(stored) != _SIZE_BYTES + HASH_BYTES * size.bit_count():
            raise ValueError("frontier: its edge does not fit its size; restore the database")
        starts = range(0, len(edge), HASH_BYTES)
        return cls(size, tuple(edge[start : start + HASH_BYTES] for start in starts))


def frontier(size: int, nodes: Nodes) -> Frontier:
    """The right edge that the tree had at a size that it has passed."""
    return Frontier(size, tuple(nodes(list(_complete(0, size)))))


def inclusion_proof(index: int, size: int, nodes: Nodes) -> list[bytes]:
    """The audit path of a leaf in the tree of the first ``size`` leaves (RFC 9162, 2.1.3.1).

    Hashes run from the leaf's sibling to the root's child. Raises ValueError if the tree
    has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"index: {index} is no leaf of a tree of size {size}; use a lower one")
    siblings = []
    start, end = 0, size
    while end - start > 1:
        middle = _split(start, end)
        if index < middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((start, middle))
            start = middle
    return _hashes(siblings[::-1], nodes)


def consistency_proof(old: int, new: int, nodes: Nodes) -> list[bytes]:
    """That the tree of ``old`` leaves begins that of ``new`` leaves (RFC 9162, 2.1.4.1).

    Raises ValueError unless 0 < old <= new: nothing is to be proven about an empty tree.
    """
    if not 0 < old <= new:
        raise ValueError(f"old size: {old} is not within 1 and the new size, {new}")
    rest = []
    start, end = 0, new
    while old < end:
        middle = _split(start, end)
        if old <= middle:
            rest.append((middle, end))
            end = middle
        else:
            rest.append((start, middle))
            start = middle
    if start:  # else what is left is the whole old tree, whose root the verifier has
        rest.append((start, end))
    return _hashes(rest[::-1], nodes)


def _split(start: int, end: int) -> int:
    """Where RFC 6962 divides a range of two leaves or more: after the largest power of two."""
    return start + (1 << (end - start - 1).bit_length() - 1)


def _hashes(ranges: Sequence[tuple[int, int]], nodes: Nodes) -> list[bytes]:
    """The hash of each range of leaves, of which ``_split`` made every one."""
    parts = [list(_complete(start, end)) for start, end in ranges]
    fetched = iter(nodes([coordinate for part in parts for coordinate in part]))
    return [_fold([next(fetched) for _ in part]) for part in parts]


def _complete(start: int, end: int) -> Iterator[Coordinate]:
    """The largest complete nodes that make up a range, left to right."""
    while start < end:
        level = (end - start).bit_length() - 1
        yield Coordinate(level, start >> level)
        start += 1 << level


def _fold(edge: Sequence[bytes]) -> bytes:
    *rest, hashed = edge
    for left in reversed(rest):
        hashed = _parent(left, hashed)
    return hashed


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
