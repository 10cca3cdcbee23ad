"""Shows what the log holds: its checkpoint, certificates with their proofs, consistency."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger import log, outcomes
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.log import Head
from unlearn_server.ledger.outcomes import Certified
from unlearn_server.log import envelopes, merkle, notes
from unlearn_server.log.bundles import bundle
from unlearn_server.log.notes import VerifierKey
from unlearn_server.log.proofs import Inclusion
from unlearn_server.signing import public_pem


@dataclass(frozen=True)
class Certificate:
    """A certificate's three files, its key in PEM, and what it is of."""

    certified: Certified
    envelope: bytes
    bundle: bytes
    tlog_proof: bytes
    public_key: str


class Evidence:
    """Reads the log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def checkpoint(self) -> tuple[str, VerifierKey]:
        """The signed head of the log, and the key that verifies it."""
        with self._database.read() as conn:
            head = log.head(conn)
            return head.checkpoint, log.keys(conn)[-1].verifier_key(head.origin)

    def certificate(self, index: int) -> Certificate:
        """One certificate; raises CERTIFICATE_NOT_FOUND if the log has none there."""
        with self._database.read() as conn:
            log.leaf(conn, index)
            [certified] = outcomes.certified(conn, index - 1, 1)
            return self._with_proof(conn, [certified])[0]

    def certificates(
        self, after: int, limit: int, request_id: str | None, model_id: str | None
    ) -> list[Certificate]:
        """The next certificates by index, of an erasure or a model if one is named."""
        with self._database.read() as conn:
            found = outcomes.certified(conn, after, limit, request_id, model_id)
            return self._with_proof(conn, found)

    def consistency_proof(self, first: int, second: int) -> list[bytes]:
        """That the log at one size begins that at another.

        Raises:
            ServiceError: SIZE_OUT_OF_RANGE for sizes that the log never had, or in wrong order.
        """
        with self._database.read() as conn:
            size = log.head(conn).frontier.size
            if not 0 < first <= second <= size:
                message = (
                    f"first_size, second_size: must be in this order from 1 to {size}, the size "
                    "of the log"
                )
                raise ServiceError(Reason.SIZE_OUT_OF_RANGE, message, field="second_size")
            return merkle.consistency_proof(first, second, log.nodes_of(conn))

    def _with_proof(self, conn: Connection, found: Sequence[Certified]) -> list[Certificate]:
        head, keys, nodes = log.head(conn), log.keys(conn), log.nodes_of(conn)
        shown = []
        for certified in found:
            index = certified.index
            note = _checkpoint_over(head, index)
            size, root = notes.tree_of(note)
            leaf, path = log.leaf(conn, index), merkle.inclusion_proof(index, size, nodes)
            inclusion = Inclusion(index, path, size, root, note)
            envelope = envelopes.from_json(leaf.envelope)
            # A checkpoint is signed by the key of the leaf that comes next.
            verifier = log.key_of(keys, size).verifier_key(head.origin)
            shown.append(
                Certificate(
                    certified,
                    leaf.envelope,
                    bundle(envelope, leaf.entry, inclusion, verifier),
                    str(inclusion).encode(),
                    public_pem(log.key_of(keys, index).verifying),
                )
            )
        return shown


def _checkpoint_over(head: Head, index: int) -> str:
    """The one that enough witnesses signed, if it covers a leaf already; else the newest."""
    if head.witnessed and index < notes.tree_of(head.witnessed)[0]:
        return head.witnessed
    return head.checkpoint
