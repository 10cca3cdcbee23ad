"""The log with many leaves: what a certificate and its proof cost as it grows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from tests.benchmarks.timing import Timed, Work, in_turn
from tests.unlearn_server.cases import MODEL, case
from unlearn_server.certifying import Certifier
from unlearn_server.ledger import log
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.log import Leaf
from unlearn_server.log import merkle
from unlearning.objective import Objective

_BLOCK = 10_000
_LEAF_BYTES = 560
"""Of a real leaf, about."""

_PLACE = 0x9E3779B1
"""Its multiples jump about the log."""


@dataclass(frozen=True)
class Transparency:
    """At each size of the log, in leaves.

    Attributes:
        append: a certificate made, signed and stored, and the checkpoint signed; without the
            commit, which is the erasure's.
        proof: the audit path of a leaf anywhere, from the database.
    """

    sizes: tuple[int, ...]
    append: list[Timed]
    proof: list[Timed]


def measure(sizes: Sequence[int], objective: Objective) -> Transparency:
    """Grows one log through these sizes, in ascending order."""
    append, proof = [], []
    certifier = Certifier(Ed25519PrivateKey.generate())
    certified = case(model=replace(MODEL, objective=objective))
    with TemporaryDirectory() as folder:
        database = Database.open(f"sqlite:///{Path(folder) / 'log.db'}")
        with database.write() as conn:
            certifier.open(conn, None)
        for size in sizes:
            _grow(database, size)
            with database.write() as conn:
                timed = in_turn(
                    {
                        "append": lambda conn=conn: certifier.certify(conn, [certified]),
                        "proof": _prover(conn, size),
                    }
                )
            append.append(timed["append"])
            proof.append(timed["proof"])
        database.close()
    return Transparency(tuple(sizes), append, proof)


def _prover(conn: Connection, size: int) -> Work:
    turns = count(1)

    def prove() -> None:
        head = log.head(conn)
        index = next(turns) * _PLACE % size
        merkle.inclusion_proof(index, head.frontier.size, log.nodes_of(conn))

    return prove


def _grow(database: Database, size: int) -> None:
    """Adds leaves that nobody signed, until there are so many."""
    while True:
        with database.write() as conn:
            head = log.head(conn)
            tree, leaves, nodes = head.frontier, [], []
            for index in range(tree.size, min(size, tree.size + _BLOCK)):
                leaf = Leaf(index, index.to_bytes(8) * (_LEAF_BYTES // 8), b"")
                tree, complete = tree.append(merkle.leaf_hash(leaf.entry))
                leaves.append(leaf)
                nodes += complete
            if not leaves:
                return
            log.append(conn, leaves, nodes, tree, head.checkpoint)
