"""The transparency log's leaves, its tree and its keys: what the published files come from.

Leaves are appended in the transaction of what they certify, so that there is neither one
without the other. The tree's complete nodes are stored as they come to be; whatever a
proof needs is read in one query.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection

from unlearn_server.errors import Reason, ServiceError, StartupError
from unlearn_server.ledger.batches import batches
from unlearn_server.ledger.schema import log_leaves, log_nodes, logs, signing_keys
from unlearn_server.log.merkle import Coordinate, Frontier, Node, Nodes
from unlearn_server.log.notes import SignatureType, VerifierKey


@dataclass(frozen=True)
class Head:
    """Where the log stands.

    Attributes:
        origin: the log's name, for good.
        frontier: its tree's right edge.
        checkpoint: the signed note of that tree, with the lines of witnesses.
        cosigned_sizes: at which size each witness signed last, by its verifier key.
        witnessed: the newest checkpoint that enough witnesses signed; None if there is none.
    """

    origin: str
    frontier: Frontier
    checkpoint: str
    cosigned_sizes: Mapping[str, int] = field(default_factory=dict)
    witnessed: str | None = None


@dataclass(frozen=True)
class Leaf:
    """A certificate in the log: its signed envelope, and the entry that stands in the tree."""

    index: int
    entry: bytes
    envelope: bytes


@dataclass(frozen=True)
class LoggedKey:
    """A key that signed from ``first_index`` on: 32 bytes, and the envelope that endorses it."""

    first_index: int
    public_key: bytes
    endorsement: bytes | None

    @property
    def verifying(self) -> Ed25519PublicKey:
        """The key, to verify with."""
        return Ed25519PublicKey.from_public_bytes(self.public_key)

    def verifier_key(self, origin: str) -> VerifierKey:
        """The key as notes of the log of that origin name it."""
        return VerifierKey(origin, SignatureType.ED25519, self.public_key)


_NODES = sa.select(log_nodes).where(log_nodes.c.number.in_(sa.bindparam("numbers", expanding=True)))
_LEAVES = sa.select(log_leaves).order_by(log_leaves.c.leaf_index)


def begin(conn: Connection, origin: str, public_key: bytes, checkpoint: str) -> None:
    """Begins an empty log under its first key."""
    frontier = Frontier().to_bytes()
    conn.execute(
        sa.insert(logs),  # under a key that a second log cannot have
        {"key": 1, "origin": origin, "frontier": frontier, "checkpoint": checkpoint},
    )
    add_key(conn, LoggedKey(0, public_key, None))


def forget(conn: Connection) -> None:
    """Forgets an empty log and its key."""
    conn.execute(sa.delete(logs))
    conn.execute(sa.delete(signing_keys))


def has_begun(conn: Connection) -> bool:
    """Whether there is a log."""
    return conn.execute(sa.select(logs.c.key)).one_or_none() is not None


def head(conn: Connection, *, for_update: bool = False) -> Head:
    """Where the log stands; whoever appends locks it. StartupError before it has begun."""
    query = sa.select(logs)
    row = conn.execute(query.with_for_update() if for_update else query).one_or_none()
    if row is None:
        raise StartupError("the database: has no log yet; start the server once")
    return Head(
        row.origin,
        Frontier.from_bytes(row.frontier),
        row.checkpoint + row.cosignatures,
        row.cosigned_sizes,
        row.witnessed,
    )


def append(
    conn: Connection, leaves: Sequence[Leaf], nodes: Sequence[Node], frontier: Frontier, note: str
) -> None:
    """Stores leaves, the nodes they complete, and the tree and checkpoint that come of it."""
    conn.execute(
        sa.insert(log_leaves),
        [
            {"leaf_index": leaf.index, "entry": leaf.entry, "envelope": leaf.envelope}
            for leaf in leaves
        ],
    )
    conn.execute(
        sa.insert(log_nodes),
        [{"number": _number(node.coordinate), "hash": node.hash} for node in nodes],
    )
    moved = {"frontier": frontier.to_bytes(), "checkpoint": note, "cosignatures": ""}
    conn.execute(sa.update(logs).values(moved))


def cosign(conn: Connection, cosigned: Head, lines: Mapping[str, str], *, witnessed: bool) -> str:
    """Stores what witnesses signed of a head, which may not be the newest any more.

    Args:
        conn: a transaction that may write.
        cosigned: the head that they were shown.
        lines: of signatures, by the verifier keys of the witnesses.
        witnessed: whether enough have signed it with these.

    Returns:
        The head's checkpoint with these lines.
    """
    size, added = cosigned.frontier.size, "".join(lines.values())
    note = cosigned.checkpoint + added
    now = head(conn, for_update=True)
    values: dict[str, Any] = {
        "cosigned_sizes": {**now.cosigned_sizes, **dict.fromkeys(lines, size)}
    }
    if witnessed:
        values["witnessed"] = note
    if now.frontier.size == size:
        values["cosignatures"] = logs.c.cosignatures + added
    conn.execute(sa.update(logs).values(values))
    return note


def nodes_of(conn: Connection) -> Nodes:
    """Fetches nodes that are complete; KeyError for one that is not."""

    def fetch(coordinates: Sequence[Coordinate]) -> list[bytes]:
        numbers = [_number(coordinate) for coordinate in coordinates]
        found = {
            row.number: row.hash
            for batch in batches(numbers)
            for row in conn.execute(_NODES, {"numbers": batch})
        }
        return [found[number] for number in numbers]

    return fetch


def leaf(conn: Connection, index: int) -> Leaf:
    """One leaf; raises ServiceError CERTIFICATE_NOT_FOUND if the log has none there."""
    row = conn.execute(sa.select(log_leaves).where(log_leaves.c.leaf_index == index)).one_or_none()
    if row is None:
        message = "name: there is no such certificate; use the name that an outcome has"
        raise ServiceError(Reason.CERTIFICATE_NOT_FOUND, message, field="name")
    return _leaf(row)


def leaves(conn: Connection, indices: range) -> Iterator[Leaf]:
    """The leaves of these indices, in order, as far as they are there."""
    first, last = indices.start, indices.stop - 1
    rows = conn.execute(_LEAVES.where(log_leaves.c.leaf_index.between(first, last)))
    return map(_leaf, rows)


def add_key(conn: Connection, key: LoggedKey) -> None:
    """Notes a key that signs from now on."""
    conn.execute(sa.insert(signing_keys), vars(key))


def keys(conn: Connection) -> list[LoggedKey]:
    """Every key that the log was signed with, the oldest first."""
    rows = conn.execute(sa.select(signing_keys).order_by(signing_keys.c.first_index))
    return [LoggedKey(*row) for row in rows]


def key_of(keys: Sequence[LoggedKey], index: int) -> LoggedKey:
    """Of all keys, the oldest first, the one that signed the leaf of an index."""
    return [key for key in keys if key.first_index <= index][-1]


def _number(coordinate: Coordinate) -> int:
    """Where a node comes when a tree without end is read in order, leaves at 0, 2, 4, ..."""
    level, place = coordinate
    return (place << level + 1) + (1 << level) - 1


def _leaf(row: sa.Row[tuple[int, bytes, bytes]]) -> Leaf:
    return Leaf(row.leaf_index, row.entry, row.envelope)
