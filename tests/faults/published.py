"""The log as it is published, read by the specifications alone (C2SP tlog-tiles, RFC 9162)."""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

_LEAVES_A_TILE = 256


def published_leaves(log: Path, size: int) -> Iterator[bytes]:
    """The first entries of a log of C2SP tiles: each behind its length in two bytes."""
    for start in range(0, size, _LEAVES_A_TILE):
        width = min(_LEAVES_A_TILE, size - start)
        content = (log / _bundle(start // _LEAVES_A_TILE, width)).read_bytes()
        for _ in range(width):
            (length,) = struct.unpack_from(">H", content)
            yield content[2 : 2 + length]
            content = content[2 + length :]


def _bundle(number: int, width: int) -> str:
    digits = f"{number:03}" if number < 1000 else f"x{number // 1000:03}/{number % 1000:03}"
    return f"tile/entries/{digits}" + ("" if width == _LEAVES_A_TILE else f".p/{width}")


def roots_of(leaves: Sequence[bytes], sizes: set[int]) -> dict[int, bytes]:
    """MTH of RFC 9162, section 2.1.1, of the first leaves: from full subtrees, right to left."""
    subtrees: list[tuple[int, bytes]] = []
    roots = {0: hashlib.sha256(b"").digest()}
    for size, leaf in enumerate(leaves, 1):
        width, node = 1, hashlib.sha256(b"\x00" + leaf).digest()
        while subtrees and subtrees[-1][0] == width:
            width, node = 2 * width, _node(subtrees.pop()[1], node)
        subtrees.append((width, node))
        if size in sizes:
            root = subtrees[-1][1]
            for _, left in reversed(subtrees[:-1]):
                root = _node(left, root)
            roots[size] = root
    return roots


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
