"""Takes erasure requests in. Once accepted they are durable; the eraser does the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from unlearn_server import deadlines
from unlearn_server.announcements import Announcements
from unlearn_server.domain import (
    Erasure,
    ErasureState,
    Method,
    Outcome,
    Retention,
    Selection,
    SelectionKind,
)
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger import erasures, models, samples
from unlearn_server.ledger.database import Database
from unlearning.information import exact_bound

NOTHING_MATCHED = "no sample matched the selection when the request was accepted"


@dataclass(frozen=True)
class Request:
    """What a caller asks to be forgotten; ``model_ids`` empty means wherever it is held."""

    request_id: str
    fingerprint: bytes
    selection: Selection
    model_ids: tuple[str, ...]
    method: Method
    regulation: str
    receive_time: datetime


class Intake:
    """Accepts, withdraws and retries erasures."""

    def __init__(self, database: Database, to_erase: Announcements, changes: Announcements) -> None:
        self._database = database
        self._to_erase = to_erase
        self._changes = changes

    def accept(self, request: Request) -> Erasure:
        """Stores a request as PENDING; a repeat returns the first as it now stands.

        Raises:
            ServiceError: REQUEST_ID_REUSED, MODEL_NOT_FOUND, CORE_SAMPLE.
        """
        with self._database.write() as conn:
            earlier = erasures.find(conn, request.request_id)
            if earlier is not None:
                return _same(earlier, request)
            model_ids = _target(conn, request)
            erasure = erasures.insert(
                conn,
                request_id=request.request_id,
                fingerprint=request.fingerprint,
                selection=request.selection,
                model_ids=model_ids,
                method=request.method,
                regulation=request.regulation,
                receive_time=request.receive_time,
                due_time=deadlines.due(request.receive_time),
            )
            if not model_ids:
                erasure = _complete_without_match(conn, erasure)
        self._to_erase.ring()
        return erasure

    def preview(self, request: Request) -> Erasure:
        """The erasure with the outcomes' counts that it would have; changes nothing.

        Raises:
            ServiceError: as ``accept`` does.
        """
        with self._database.read() as conn:
            earlier = erasures.find(conn, request.request_id)
            if earlier is not None:
                return _same(earlier, request)
            model_ids = _target(conn, request)
            return Erasure(
                key=0,
                request_id=request.request_id,
                fingerprint=request.fingerprint,
                selection=request.selection,
                models=tuple(model_ids),
                method=request.method,
                regulation=request.regulation,
                state=ErasureState.PENDING,
                state_reason="" if model_ids else NOTHING_MATCHED,
                outcomes=tuple(_expected(conn, model_id, request) for model_id in model_ids),
                receive_time=request.receive_time,
                due_time=deadlines.due(request.receive_time),
                complete_time=None,
            )

    def cancel(self, request_id: str) -> Erasure:
        """Withdraws a request that is not being carried out; raises ERASURE_STATE otherwise."""
        return self._move(
            request_id,
            erasures.WITHDRAWABLE_STATES,
            ErasureState.CANCELLED,
            complete_time=datetime.now(UTC),
        )

    def retry(self, request_id: str) -> Erasure:
        """Sends a request that needs an operator back to the eraser."""
        erasure = self._move(
            request_id, {ErasureState.NEEDS_OPERATOR}, ErasureState.PENDING, complete_time=None
        )
        self._to_erase.ring()
        return erasure

    def _move(
        self,
        request_id: str,
        allowed_from: frozenset[ErasureState] | set[ErasureState],
        to: ErasureState,
        complete_time: datetime | None,
    ) -> Erasure:
        with self._database.write() as conn:
            moved = erasures.transition(
                conn, request_id, allowed_from, to, complete_time=complete_time
            )
            erasure = erasures.get(conn, request_id)
            if not moved and erasure.state is not to:
                allowed = ", ".join(sorted(allowed_from))
                message = f"name: the erasure is {erasure.state}; this takes one that is {allowed}"
                raise ServiceError(Reason.ERASURE_STATE, message, field="name")
        self._changes.ring()
        return erasure


def _same(earlier: Erasure, request: Request) -> Erasure:
    if earlier.fingerprint != request.fingerprint:
        message = "request_id: was used for a request with other content; use a fresh UUID4"
        raise ServiceError(Reason.REQUEST_ID_REUSED, message, field="request_id")
    return earlier


def _target(conn: Connection, request: Request) -> Sequence[str]:
    """The models to erase in, once it is sure that none of the samples is CORE."""
    model_ids = request.model_ids or samples.models_holding(conn, request.selection)
    for model_id in model_ids:
        model = models.get(conn, model_id)
        everyone = request.selection.kind is SelectionKind.ALL_USER_DATA
        if not everyone and samples.has_core_match(conn, model.key, request.selection):
            message = (
                "erasure.selection: names a sample that is retained as CORE, which is never "
                "erased; leave it out, or delete the model"
            )
            raise ServiceError(Reason.CORE_SAMPLE, message, field="erasure.selection")
    return model_ids


def _expected(conn: Connection, model_id: str, request: Request) -> Outcome:
    model = models.get(conn, model_id)
    return Outcome(
        model_id=model_id,
        method=request.method,
        erased_samples=samples.count_matching(conn, model.key, request.selection, Retention.USER),
        release_before=model.release,
        release_after=None,
        solve=None,
        bound=exact_bound(len(samples.subjects_matching(conn, model.key, request.selection))),
    )


def _complete_without_match(conn: Connection, erasure: Erasure) -> Erasure:
    erasures.transition(
        conn,
        erasure.request_id,
        {ErasureState.PENDING},
        ErasureState.SUCCEEDED,
        reason=NOTHING_MATCHED,
        complete_time=datetime.now(UTC),
    )
    return erasures.get(conn, erasure.request_id)
