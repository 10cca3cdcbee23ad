"""The log as static files: hash tiles and entry bundles of c2sp.org/tlog-tiles.

A tile holds up to 256 neighbours of one in eight levels of the tree; a bundle holds the
leaves under a tile of level 0. Full ones never change. A partial one, of a path of its
own, holds what a tree of some size had of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from unlearn_server.log.merkle import Coordinate, Nodes

WIDTH = 256
_HEIGHT = 8
_LENGTH_BYTES = 2


@dataclass(frozen=True, slots=True)
class HashTile:
    """``width`` hashes from the tile's first: all 256, or fewer at the tree's right edge."""

    level: int
    index: int
    width: int

    @property
    def path(self) -> str:
        """Where it is published, under the log's prefix."""
        return f"tile/{self.level}/{_place(self.index, self.width)}"

    def content(self, nodes: Nodes) -> bytes:
        """Its hashes, one after the other."""
        first = self.index * WIDTH
        level = self.level * _HEIGHT
        return b"".join(nodes([Coordinate(level, first + i) for i in range(self.width)]))


@dataclass(frozen=True, slots=True)
class EntryBundle:
    """``width`` leaves from the bundle's first: all 256, or fewer at the log's end."""

    index: int
    width: int

    @property
    def path(self) -> str:
        """Where it is published, under the log's prefix."""
        return f"tile/entries/{_place(self.index, self.width)}"

    @property
    def leaves(self) -> range:
        """The indices of its leaves."""
        first = self.index * WIDTH
        return range(first, first + self.width)


def bundled(leaves: Sequence[bytes]) -> bytes:
    """The content of a bundle: each leaf after its length as a big-endian uint16.

    Raises:
        ValueError: if a leaf is longer than 65,535 bytes.
    """
    if any(len(leaf) >= 1 << 8 * _LENGTH_BYTES for leaf in leaves):
        raise ValueError("leaf: is longer than 65,535 bytes; log its hash instead")
    return b"".join(len(leaf).to_bytes(_LENGTH_BYTES) + leaf for leaf in leaves)


def hash_tiles(old: int, new: int) -> list[HashTile]:
    """The tiles that a tree of ``new`` leaves has and one of ``old`` leaves has not."""
    tiles = []
    for level in range(new.bit_length() // _HEIGHT + 1):
        shift = level * _HEIGHT
        changed = _changed(old >> shift, new >> shift)
        tiles += [HashTile(level, index, width) for index, width in changed]
    return tiles


def entry_bundles(old: int, new: int) -> list[EntryBundle]:
    """The bundles that a log of ``new`` leaves has and one of ``old`` leaves has not."""
    return [EntryBundle(index, width) for index, width in _changed(old, new)]


def _changed(old: int, new: int) -> list[tuple[int, int]]:
    """(index, width) of each run of 256 that more than ``old`` of ``new`` items reach."""
    if old == new:
        return []
    runs = range(old // WIDTH, -(-new // WIDTH))
    return [(index, min(WIDTH, new - index * WIDTH)) for index in runs]


def _place(index: int, width: int) -> str:
    """An index in groups of three digits, all but the last marked, and a partial's width."""
    digits = f"{index % 1000:03}"
    while index := index // 1000:
        digits = f"x{index % 1000:03}/{digits}"
    return digits if width == WIDTH else f"{digits}.p/{width}"
