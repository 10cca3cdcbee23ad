"""Looks for somebody as an investigator would: in every byte, in every encoding.

What is looked for is a piece of what was erased, long enough to be there by no accident. A piece
is looked for as it is, in hexadecimal, and in base64 wherever it may begin in that.
"""

import os
import stat
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unlearn.v1.model_pb2 import Sample

SHORTEST = 8
"""Bytes of a piece: by accident it is in a gigabyte once in ten thousand million."""

_BLOCK = 1 << 22

Pieces = dict[str, bytes]


@dataclass(frozen=True)
class Scene:
    """Where to look: folders and files, and what processes and their children hold open."""

    places: tuple[Path, ...]
    processes: tuple[int, ...] = ()

    def evidence(self) -> Iterator[tuple[str, bytes]]:
        """Every file there is, by its name, and its content."""
        for place in self.places:
            for path in (place, *place.rglob("*")):
                with suppress(FileNotFoundError):  # a database deletes its own meanwhile
                    yield from _read(path)
        for process in self.processes:
            yield from _held_open(process)

    def find(self, pieces: Pieces) -> dict[str, set[str]]:
        """Which pieces are there, and where."""
        found: dict[str, set[str]] = {}
        searching = _Search(pieces)
        for name, content in self.evidence():
            for kind in searching.find(content):
                found.setdefault(kind, set()).add(name)
        return found


class _Search:
    """Finds many pieces at once, by the three bytes of each that tell most."""

    def __init__(self, pieces: Pieces) -> None:
        self._anchored: dict[bytes, list[tuple[str, bytes, int]]] = {}
        self._is_anchor = np.zeros(1 << 24, np.bool_)
        for kind, piece in pieces.items():
            at = max(range(len(piece) - 2), key=lambda i: len({*piece[i : i + 3]} - {0}))
            anchor = piece[at : at + 3]
            self._anchored.setdefault(anchor, []).append((kind, piece, at))
            self._is_anchor[int.from_bytes(anchor, "little")] = True

    def find(self, content: bytes) -> set[str]:
        """The kinds of pieces that are in a content."""
        found = set()
        for start in range(0, len(content), _BLOCK):
            block = np.frombuffer(content[start : start + _BLOCK + 2], np.uint8).astype(np.uint32)
            anchors = block[:-2] | block[1:-1] << 8 | block[2:] << 16
            for i in (np.flatnonzero(self._is_anchor[anchors]) + start).tolist():
                for kind, piece, at in self._anchored[content[i : i + 3]]:
                    if i >= at and content.startswith(piece, i - at):
                        found.add(kind)
        return found


def traces(sample: Sample, step: float) -> Pieces:
    """A sample's ids, its image or features, and the message that brought it."""
    ids = {"subject": sample.subject_id, "sample": sample.sample_id}
    pieces = {
        f"{name} id, {charset}": own.encode(charset)
        for name, own in ids.items()
        for charset in ("utf-8", "utf-16-le", "utf-16-be")
    }
    pieces["message"] = sample.SerializeToString()[-24:]
    if sample.HasField("image"):
        pieces |= {f"image at {i}": sample.image[i : i + 24] for i in range(60, 400, 80)}
    else:
        reals = np.array(sample.features.values[3:7], np.float64)
        pieces |= numbers("features", reals, np.rint(reals / step))
    return encoded(pieces)


def numbers(name: str, reals: NDArray[np.float64], integers: NDArray[np.float64]) -> Pieces:
    """A few numbers and the integers that stand for them, as computers write them."""
    pieces: Pieces = {}
    for order in "<>":
        for kind in ("f4", "f8"):
            pieces[f"{name}, {order}{kind}"] = reals.astype(order + kind).tobytes()
            pieces[f"{name} as integers, {order}{kind}"] = integers.astype(order + kind).tobytes()
        for kind in ("i2", "i4", "i8"):
            if np.abs(integers).max() <= np.iinfo(kind).max:
                pieces[f"{name}, {order}{kind}"] = integers.astype(order + kind).tobytes()
    return pieces


def encoded(pieces: Pieces) -> Pieces:
    """Pieces as they are, in hexadecimal and in base64."""
    forms: Pieces = {}
    for kind, piece in pieces.items():
        assert len(piece) >= SHORTEST, kind
        forms |= {
            kind: piece,
            f"{kind}, hex": piece.hex().encode(),
            f"{kind}, HEX": piece.hex().upper().encode(),
        }
        forms |= {f"{kind}, base64 at {at}": text for at, text in enumerate(_base64(piece))}
    return forms


def _base64(piece: bytes) -> Iterable[bytes]:
    """The characters that a piece fixes, behind 0, 1 or 2 other bytes."""
    for before in range(3):
        text = b64encode(bytes(before) + piece)
        yield text[-(-8 * before // 6) : 8 * (before + len(piece)) // 6]


def _read(path: Path) -> Iterator[tuple[str, bytes]]:
    if stat.S_ISREG(path.stat().st_mode):
        yield str(path), path.read_bytes()


def _held_open(process: int) -> Iterator[tuple[str, bytes]]:
    """What it can still read, deleted or not."""
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            for _, content in _read(descriptor):
                yield f"{process} holds {os.readlink(descriptor)}", content
    for thread in Path(f"/proc/{process}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from _held_open(int(child))
