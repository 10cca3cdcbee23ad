"""Rows held in memory by their content, so that they can be taken out by it again.

A row is its canonical bytes (see ``commitment``), found by their SHA-256; equal rows are
held once and counted. Each is a piece of memory of its own, free as soon as it is erased,
and they are handed out in the order of their digests: what is solved from them depends
on which rows are held, never on how they came or what was erased among them.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearning.commitment import row_digest
from unlearning.errors import InconsistentStateError

_HEADER = struct.Struct("<i?")


def canonical_rows(
    rows: NDArray[np.int16], labels: NDArray[np.integer[Any]], is_core: NDArray[np.bool_]
) -> Iterator[bytes]:
    """The canonical bytes of stored rows of classes ``labels`` (n,), CORE or not (n,)."""
    for entries, label, core in zip(rows.astype("<i2"), labels, is_core, strict=True):
        yield _HEADER.pack(label, core) + entries.tobytes()


class RowMultiset:
    """Labelled lattice rows of one kind, USER or CORE, with repetition.

    Attributes:
        width: the entries of a row, ``Objective.row_width``.
        is_core: of which kind they are.
    """

    def __init__(self, width: int, *, is_core: bool) -> None:
        self.width = width
        self.is_core = is_core
        self._rows: dict[bytes, bytes] = {}
        self._copies: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return self._copies.total()

    def add(self, rows: NDArray[np.int16], labels: NDArray[np.integer[Any]]) -> None:
        """Adds rows (n, width) of classes ``labels`` (n,)."""
        for row in self._canonical(rows, labels):
            digest = row_digest(row)
            self._rows.setdefault(digest, row)
            self._copies[digest] += 1

    def remove(self, rows: NDArray[np.int16], labels: NDArray[np.integer[Any]]) -> None:
        """Takes out rows that were added before, one copy of each.

        Raises InconsistentStateError, before anything is changed, if one is not held.
        """
        gone = Counter(map(row_digest, self._canonical(rows, labels)))
        if any(copies > self._copies[digest] for digest, copies in gone.items()):
            raise InconsistentStateError("a row to be erased is not among those held")
        for digest, copies in gone.items():
            self._copies[digest] -= copies
            if not self._copies[digest]:
                del self._copies[digest], self._rows[digest]

    def digests(self) -> list[bytes]:
        """The ``row_digest`` of every row, in ascending order."""
        return sorted(self._copies.elements())

    def arrays(self) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
        """Every row (n, width) and its label (n,), in the order of their digests; copies."""
        rows = np.empty((len(self), self.width), np.int16)
        labels = np.empty(len(self), np.int32)
        for i, digest in enumerate(self.digests()):
            row = self._rows[digest]
            labels[i], _ = _HEADER.unpack_from(row)
            rows[i] = np.frombuffer(row, "<i2", offset=_HEADER.size)
        return rows, labels

    def _canonical(
        self, rows: NDArray[np.int16], labels: NDArray[np.integer[Any]]
    ) -> Iterator[bytes]:
        return canonical_rows(rows, labels, np.full(len(labels), self.is_core))
