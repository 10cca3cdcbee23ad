"""What an operator decides about a request: that it may take longer, or that it is refused.

Their reasons are for the people concerned, and may tell of them: they stay in the database.
Certificates are public for ever, and say when, and on which ground.
"""

from datetime import UTC, datetime

from unlearn_server import concluding, deadlines
from unlearn_server.announcements import Announcements
from unlearn_server.certifying import Certifier
from unlearn_server.domain import Erasure, ErasureState, Extension, Refusal
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger import erasures
from unlearn_server.ledger.database import Database


class Decisions:
    """Extends and refuses requests."""

    def __init__(
        self,
        database: Database,
        certifier: Certifier,
        to_erase: Announcements,
        changes: Announcements,
    ) -> None:
        self._database = database
        self._certifier = certifier
        self._to_erase = to_erase
        self._changes = changes

    def refuse(self, request_id: str, ground: str, reason: str) -> Erasure:
        """Ends a request, and certifies why in the same transaction.

        Raises:
            ServiceError: ERASURE_NOT_FOUND; ERASURE_STATE where it cannot be refused any more.
        """
        with self._database.write() as conn:
            erasure = erasures.get(conn, request_id)
            if _is_refused_so(erasure, ground, reason):
                return erasure
            if erasure.state not in erasures.WITHDRAWABLE_STATES:
                raise erasures.wrong_state(erasure, erasures.WITHDRAWABLE_STATES)
            now = datetime.now(UTC)
            index = self._certifier.refuse(conn, concluding.refused(erasure, ground, now))
            erasures.refuse(conn, erasure.key, Refusal(ground, index), reason, now)
            refused = erasures.get(conn, request_id)
        self._to_erase.ring()  # its salt, deleted now, is cleared from the storage
        self._changes.ring()
        return refused

    def extend(self, request_id: str, due_time: datetime, reason: str) -> Erasure:
        """Moves a due time that has not passed, once.

        Raises:
            ServiceError: ERASURE_NOT_FOUND; ERASURE_STATE where the request has ended, is overdue
                or was extended before; INVALID_FIELD for a due time that is not allowed.
        """
        with self._database.write() as conn:
            erasure = erasures.get(conn, request_id)
            if _is_extended_so(erasure, due_time, reason):
                return erasure
            now = datetime.now(UTC)
            _check_extensible(erasure, now)
            _check_due_time(erasure, due_time)
            extension = Extension(now, reason, erasure.due_time)
            erasures.extend(conn, erasure.key, due_time, extension)
            extended = erasures.get(conn, request_id)
        self._changes.ring()
        return extended


def _is_refused_so(erasure: Erasure, ground: str, reason: str) -> bool:
    told = erasure.refusal.ground if erasure.refusal else None
    return (erasure.state, told, erasure.state_reason) == (ErasureState.REFUSED, ground, reason)


def _is_extended_so(erasure: Erasure, due_time: datetime, reason: str) -> bool:
    told = erasure.extension.reason if erasure.extension else None
    return (erasure.due_time, told) == (due_time, reason)


def _check_extensible(erasure: Erasure, now: datetime) -> None:
    if erasure.state not in erasures.OPEN_STATES:
        raise erasures.wrong_state(erasure, erasures.OPEN_STATES)
    if erasure.extension:
        message = "name: the erasure was extended before, and may be once; carry it out in time"
        raise ServiceError(Reason.ERASURE_STATE, message, field="name")
    if now > erasure.due_time:
        # Whoever asked must be told of an extension before that (GDPR Art. 12(3)).
        message = "name: the erasure is overdue, and no extension changes that; carry it out"
        raise ServiceError(Reason.ERASURE_STATE, message, field="name")


def _check_due_time(erasure: Erasure, due_time: datetime) -> None:
    latest = deadlines.latest(erasure.due_time)
    if not erasure.due_time < due_time <= latest:
        message = (
            f"due_time: must be after the first due time, {erasure.due_time:%Y-%m-%dT%H:%M:%S}Z, "
            f"and at most two months after it: until {latest:%Y-%m-%dT%H:%M:%S}Z"
        )
        raise ServiceError(Reason.INVALID_FIELD, message, field="due_time")
