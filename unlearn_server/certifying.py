"""Certifies outcomes and refusals: signed statements, as leaves of the log, in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, event

from unlearn_server import statements
from unlearn_server.domain import Erasure, Model
from unlearn_server.errors import StartupError
from unlearn_server.failpoints import Failpoint, reach
from unlearn_server.journal import Journal
from unlearn_server.journal.records import Told
from unlearn_server.ledger import log
from unlearn_server.ledger.log import Head, Leaf, LoggedKey
from unlearn_server.log import envelopes, merkle, notes
from unlearn_server.log.entries import entry
from unlearn_server.log.merkle import Frontier
from unlearn_server.log.notes import Ed25519NoteSigner
from unlearn_server.signing import public_pem
from unlearn_server.statements import Case, Refused

Statement = Callable[[Head, int], dict[str, Any]]
"""What stands in the log at an index."""


@dataclass(frozen=True)
class Stated:
    """A statement to append, of which request and model, as far as it is of one."""

    statement: Statement
    erasure: Erasure | None = None
    model: Model | None = None


class Certifier:
    """Appends to the log with one key. Safe to share between threads."""

    def __init__(self, key: Ed25519PrivateKey, journal: Journal | None = None) -> None:
        """Takes the journal to keep, without which the log cannot be restored."""
        self._key = key
        self._signer = envelopes.signer(key)
        self._journal = journal

    def open(self, conn: Connection, origin: str | None) -> Head:
        """The log, begun if there is none yet.

        Args:
            conn: a transaction that may write.
            origin: what the log is called, if that is said; one of its own otherwise.

        Raises:
            StartupError: if the log is called otherwise and not empty, or its last key is another;
                if the journal is of another log.
        """
        if not log.has_begun(conn):
            self._begin(conn, origin or f"unlearn.local/{self._key_id[:16]}")
        head = log.head(conn)
        if log.keys(conn)[-1].public_key != self._key.public_key().public_bytes_raw():
            raise StartupError(
                "the signing key: is not the one that the log was last signed with; restore that "
                "one, or hand over to this one with unlearn-server keys rotate"
            )
        if origin and origin != head.origin:
            head = self._renamed(conn, head, origin)
        if self._journal:
            self._journal.open(conn)
        return head

    def certify(self, conn: Connection, cases: Sequence[Case]) -> list[int]:
        """Appends a certificate of each outcome; returns their indices in the log."""
        stated = [
            Stated(partial(statements.erasure, case), case.erasure, case.model) for case in cases
        ]
        return self._append(conn, stated, self._key)

    def refuse(self, conn: Connection, case: Refused) -> int:
        """Appends the certificate of a refusal; returns its index in the log."""
        stated = Stated(partial(statements.refusal, case), case.erasure)
        [index] = self._append(conn, [stated], self._key)
        return index

    def hand_over(self, conn: Connection, following: Ed25519PrivateKey) -> None:
        """Endorses the next key, which signs the checkpoint already."""
        keys = self._key.public_key(), following.public_key()
        previous, following_pem = map(public_pem, keys)
        following_id = envelopes.key_id(keys[1])
        endorsed = partial(statements.rotation, previous, following_pem, following_id)
        [index] = self._append(conn, [Stated(endorsed)], following)
        endorsement = log.leaf(conn, index).envelope
        log.add_key(conn, LoggedKey(index + 1, keys[1].public_bytes_raw(), endorsement))

    def adopt(self, conn: Connection, leaves: Sequence[Leaf]) -> Head:
        """Appends leaves that were in this log before it was lost; where it stands then."""
        self._grow(conn, log.head(conn, for_update=True), leaves, self._key)
        return log.head(conn)

    @property
    def _key_id(self) -> str:
        return envelopes.key_id(self._key.public_key())

    def _renamed(self, conn: Connection, head: Head, origin: str) -> Head:
        """The log begun anew, as long as nobody has seen more of it than its name."""
        if head.frontier.size:
            message = f"the log is called {head.origin} for good; leave the option out"
            raise StartupError(f"--log-origin: {message}")
        log.forget(conn)
        self._begin(conn, origin)
        return log.head(conn)

    def _begin(self, conn: Connection, origin: str) -> None:
        tree = merkle.Frontier()
        note = notes.checkpoint(0, tree.root, Ed25519NoteSigner(origin, self._key))
        log.begin(conn, origin, self._key.public_key().public_bytes_raw(), note)

    def _append(
        self, conn: Connection, stated: Sequence[Stated], checkpoint_key: Ed25519PrivateKey
    ) -> list[int]:
        head = log.head(conn, for_update=True)
        leaves = [
            self._leaf(index, each.statement(head, index))
            for index, each in enumerate(stated, head.frontier.size)
        ]
        tree = self._grow(conn, head, leaves, checkpoint_key)
        if self._journal:
            told = [
                Told(leaf, each.erasure, each.model)
                for leaf, each in zip(leaves, stated, strict=True)
            ]
            keep = partial(self._journal.append, base=head.frontier, tree=tree, leaves=told)
            # The last thing before the commit: what the transaction still refuses is not told.
            event.listen(conn, "commit", keep, once=True)
        return [leaf.index for leaf in leaves]

    def _grow(
        self,
        conn: Connection,
        head: Head,
        leaves: Sequence[Leaf],
        checkpoint_key: Ed25519PrivateKey,
    ) -> Frontier:
        tree, nodes = head.frontier, []
        for leaf in leaves:
            tree, complete = tree.append(merkle.leaf_hash(leaf.entry))
            nodes += complete
        signer = Ed25519NoteSigner(head.origin, checkpoint_key)
        note = notes.checkpoint(tree.size, tree.root, signer)
        reach(Failpoint.CERTIFY_SIGNED)
        log.append(conn, leaves, nodes, tree, note)
        reach(Failpoint.CERTIFY_APPENDED)
        return tree

    def _leaf(self, index: int, statement: dict[str, Any]) -> Leaf:
        envelope = envelopes.sign(statement, self._signer)
        logged = entry(envelope, self._key.public_key())
        return Leaf(index, logged, envelopes.to_json(envelope))
