"""A sample as it is stored: its own id, its label and its lattice entries, sealed as one.

The payload is a little-endian header (label, length of the id), the id in UTF-8, and
the entries as int16. It is authenticated together with its model and the hash of its id, so
it opens in its own row only.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from unlearn_server.domain import Model, NewSample, Retention, StoredSample
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import samples

ROWS_AT_ONCE = 2048
"""Bounds the rows that are decrypted in memory."""

_HEADER = struct.Struct("<iI")


@dataclass(frozen=True)
class Rows:
    """Opened samples.

    Attributes:
        entries: on the lattice, shape (n, row_width): psi, and f_c behind it where the model
            has a head.
        labels: shape (n,).
        is_core: whether each is CORE, shape (n,).
        ids: each one's own, as its caller chose it, shape (n,) of str.
    """

    entries: NDArray[np.int16]
    labels: NDArray[np.int32]
    is_core: NDArray[np.bool_]
    ids: NDArray[np.object_]

    @classmethod
    def joined(cls, parts: Sequence["Rows"]) -> "Rows":
        """At least one part, in order, as one."""
        return cls(
            np.concatenate([part.entries for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.is_core for part in parts]),
            np.concatenate([part.ids for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: slice | NDArray[np.bool_]) -> "Rows":
        return Rows(
            self.entries[chosen], self.labels[chosen], self.is_core[chosen], self.ids[chosen]
        )


@dataclass(frozen=True)
class Draft:
    """A checked sample on its way into the database."""

    sample_id: str
    sample_hash: bytes
    subject_hash: bytes | None
    content_hash: bytes
    label: int
    retention: Retention
    entries: NDArray[np.int16]


def seal(draft: Draft, model: Model, keys: KeyRing, master_id: bytes) -> NewSample:
    """Encrypts a sample for its place in a model; raises DecryptionError without the master key."""
    own_id = draft.sample_id.encode()
    plaintext = b"".join(
        (_HEADER.pack(draft.label, len(own_id)), own_id, draft.entries.astype("<i2").tobytes())
    )
    own = identity(model.model_id, draft.sample_hash)
    return NewSample(
        sample_hash=draft.sample_hash,
        subject_hash=draft.subject_hash,
        content_hash=draft.content_hash,
        retention=draft.retention,
        sealed=keys.seal(plaintext, own, master_id),
    )


def unseal(stored: Sequence[StoredSample], model: Model, keys: KeyRing) -> Rows:
    """Decrypts samples; raises DecryptionError if one is not what was stored."""
    entries = np.empty((len(stored), model.objective.row_width), np.int16)
    labels = np.empty(len(stored), np.int32)
    ids = np.empty(len(stored), np.object_)
    for i, sample in enumerate(stored):
        plaintext = keys.unseal(sample.sealed, identity(model.model_id, sample.sample_hash))
        labels[i], id_length = _HEADER.unpack_from(plaintext)
        end = _HEADER.size + id_length
        ids[i] = plaintext[_HEADER.size : end].decode()
        entries[i] = np.frombuffer(plaintext, "<i2", offset=end)
    is_core = np.array([sample.retention is Retention.CORE for sample in stored], np.bool_)
    return Rows(entries, labels, is_core, ids)


def stream(conn: Connection, model: Model, keys: KeyRing) -> Iterator[Rows]:
    """All rows of a model in the order they were added, a bounded number at a time."""
    for stored in samples.stream(conn, model.key, ROWS_AT_ONCE):
        yield unseal(stored, model, keys)


def identity(model_id: str, sample_hash: bytes) -> bytes:
    """What a sealed sample is bound to."""
    return model_id.encode() + b"\0" + sample_hash
