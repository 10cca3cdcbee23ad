"""Takes erasure requests in. Once accepted they are durable; the eraser does the rest."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from unlearn_server import deadlines
from unlearn_server.announcements import Announcements
from unlearn_server.domain import (
    Erasure,
    ErasureState,
    Method,
    Outcome,
    Selection,
)
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.failpoints import Failpoint, reach
from unlearn_server.ledger import erasures, holds, models, samples
from unlearn_server.ledger.database import Database
from unlearn_server.together import Together
from unlearning.release import NO_LEAKAGE, UNBOUNDED

NOTHING_MATCHED = "no sample matched the selection when the request was accepted"


@dataclass(frozen=True)
class Request:
    """What a caller asks to be forgotten.

    ``model_ids`` empty means wherever it is held, ``method`` None that of each model.
    """

    request_id: str
    fingerprint: bytes
    selection: Selection
    subject_root: bytes | None
    commitment_salt: bytes
    model_ids: tuple[str, ...]
    method: Method | None
    regulation: str
    receive_time: datetime


class Intake:
    """Accepts, withdraws and retries erasures."""

    def __init__(self, database: Database, to_erase: Announcements, changes: Announcements) -> None:
        self._database = database
        self._to_erase = to_erase
        self._changes = changes
        self._accepting = Together(self._accept_all)

    def accept(self, request: Request) -> Erasure:
        """Stores a request as PENDING or, where a hold applies to it, as HELD.

        A repeat returns the first as it now stands.

        Raises:
            ServiceError: REQUEST_ID_REUSED, MODEL_NOT_FOUND, CORE_SAMPLE,
                METHOD_NOT_APPLICABLE.
        """
        return self._accepting.do(request)

    def preview(self, request: Request) -> Erasure:
        """The erasure with the outcomes' counts that it would have; changes nothing.

        Raises:
            ServiceError: as ``accept`` does.
        """
        with self._database.read() as conn:
            known, [refusal] = _judge(conn, [request])
            if refusal:
                raise refusal
            erasure = known[request.request_id]
            if erasure.key:
                return erasure
            expected = tuple(_expected(conn, model_id, request) for model_id in erasure.models)
            planned = replace(erasure, state=ErasureState.PENDING, complete_time=None)
            [planned] = holds.mark(conn, [planned])
        return replace(planned, outcomes=expected)

    def cancel(self, request_id: str) -> Erasure:
        """Withdraws a request that is not being carried out; raises ERASURE_STATE otherwise."""
        erasure = self._move(
            request_id,
            erasures.WITHDRAWABLE_STATES,
            ErasureState.CANCELLED,
            complete_time=datetime.now(UTC),
        )
        self._to_erase.ring()  # its salt, deleted now, is cleared from the storage
        return erasure

    def retry(self, request_id: str) -> Erasure:
        """Sends a request that needs an operator back to the eraser."""
        erasure = self._move(
            request_id, {ErasureState.NEEDS_OPERATOR}, ErasureState.PENDING, complete_time=None
        )
        self._to_erase.ring()
        return erasure

    def _accept_all(self, requests: Sequence[Request]) -> list[Erasure | ServiceError]:
        with self._database.write() as conn:
            known, refusals = _judge(conn, requests)
            new = [each for each in known.values() if not each.key]
            known |= erasures.insert(conn, holds.mark(conn, new))
            reach(Failpoint.ACCEPT_STORED)
        reach(Failpoint.ACCEPT_COMMITTED)
        self._to_erase.ring()
        return [
            refusal or known[request.request_id]
            for request, refusal in zip(requests, refusals, strict=True)
        ]

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
                raise erasures.wrong_state(erasure, allowed_from)
            reach(Failpoint.MOVE_STORED)
        reach(Failpoint.MOVE_COMMITTED)
        self._changes.ring()
        return erasure


def _judge(
    conn: Connection, requests: Sequence[Request]
) -> tuple[dict[str, Erasure], list[ServiceError | None]]:
    """The erasures of requests by request id, new ones under the key 0; and who is refused."""
    known = erasures.find(conn, [request.request_id for request in requests])
    holders = samples.holders(conn, [request.selection for request in requests])
    named = {each for request in requests for each in request.model_ids}
    existing = models.existing(conn, named.union(*holders))
    refusals: list[ServiceError | None] = []
    for request, holds_core in zip(requests, holders, strict=True):
        try:
            if request.request_id not in known:
                model_ids = _target(request, holds_core, existing)
                method = _method(request, {existing[model_id] for model_id in model_ids})
                known[request.request_id] = _accepted(request, model_ids, method)
            _check_same(known[request.request_id], request)
            refusals.append(None)
        except ServiceError as error:
            refusals.append(error)
    return known, refusals


def _check_same(first: Erasure, request: Request) -> None:
    if first.fingerprint != request.fingerprint:
        message = "request_id: was used for a request with other content; use a fresh UUID4"
        raise ServiceError(Reason.REQUEST_ID_REUSED, message, field="request_id")


def _target(
    request: Request, holds_core: Mapping[str, bool], existing: Mapping[str, bool]
) -> Sequence[str]:
    """The models to erase in, once it is sure that none of the samples is CORE."""
    for model_id in request.model_ids:
        if model_id not in existing:
            raise models.not_found()
    model_ids = request.model_ids or sorted(holds_core)
    if any(holds_core.get(model_id) for model_id in model_ids):
        message = (
            "erasure.selection: names a sample that is retained as CORE, which is never "
            "erased; leave it out, or delete the model"
        )
        raise ServiceError(Reason.CORE_SAMPLE, message, field="erasure.selection")
    return model_ids


def _method(request: Request, are_tangent: Collection[bool]) -> Method:
    """The method asked for, or else the models' own; EXACT where theirs differ."""
    if request.method is Method.NEWTON and False in are_tangent:
        raise _not_applicable("NEWTON is for TANGENT models, and one is not; use EXACT")
    if request.method is Method.EXACT and True in are_tangent:
        raise _not_applicable("EXACT is for FEATURES models, and one is TANGENT; use NEWTON")
    return request.method or (Method.NEWTON if set(are_tangent) == {True} else Method.EXACT)


def _not_applicable(problem: str) -> ServiceError:
    return ServiceError(
        Reason.METHOD_NOT_APPLICABLE, f"erasure.method: {problem}", field="erasure.method"
    )


def _accepted(request: Request, model_ids: Sequence[str], method: Method) -> Erasure:
    """A new erasure; one that concerns no model is done."""
    return Erasure(
        key=0,
        request_id=request.request_id,
        fingerprint=request.fingerprint,
        selection=request.selection,
        subject_root=request.subject_root,
        commitment_salt=request.commitment_salt if model_ids else None,
        models=tuple(model_ids),
        method=method,
        regulation=request.regulation,
        state=ErasureState.PENDING if model_ids else ErasureState.SUCCEEDED,
        state_reason="" if model_ids else NOTHING_MATCHED,
        outcomes=(),
        receive_time=request.receive_time,
        due_time=deadlines.due(request.receive_time),
        complete_time=None if model_ids else datetime.now(UTC),
    )


def _expected(conn: Connection, model_id: str, request: Request) -> Outcome:
    model = models.get(conn, model_id)
    count, cohort = samples.count(conn, model.key, [request.selection])
    # What a solver will leave is not known before it has solved.
    leakage = NO_LEAKAGE if not model.objective.is_tangent else UNBOUNDED
    return Outcome(
        model_id=model_id,
        method=model.method(request.method or Method.EXACT),
        erased_samples=count,
        release_before=model.release,
        release_after=None,
        solve=None,
        bound=leakage.bound(cohort),
    )
