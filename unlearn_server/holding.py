"""Places and lifts holds; see ``ledger.holds`` for what they apply to."""

from datetime import UTC, datetime
from uuid import uuid4

from unlearn_server.announcements import Announcements
from unlearn_server.domain import Hold
from unlearn_server.ledger import holds
from unlearn_server.ledger.database import Database


class Holding:
    """Suspends the erasures of subjects, and lets them go on."""

    def __init__(self, database: Database, to_erase: Announcements, changes: Announcements) -> None:
        self._database = database
        self._to_erase = to_erase
        self._changes = changes

    def place(self, subject_hash: bytes, reason: str) -> Hold:
        """Once this returns, nothing that touches the subject is erased.

        What is being carried out at the moment is done before, or is not done.
        """
        with self._database.write() as conn:
            hold = holds.place(conn, str(uuid4()), subject_hash, reason, datetime.now(UTC))
            holds.suspend(conn)
        self._changes.ring()
        return hold

    def lift(self, hold_id: str) -> Hold:
        """Lets go on what no other hold applies to; raises HOLD_NOT_FOUND."""
        with self._database.write() as conn:
            hold = holds.lift(conn, hold_id, datetime.now(UTC))
            holds.resume(conn)
        self._to_erase.ring()
        self._changes.ring()
        return hold
