"""ErasureService."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from secrets import token_bytes
from threading import BoundedSemaphore, Event

import grpc

from unlearn.v1 import erasure_pb2, erasure_pb2_grpc
from unlearn_server.announcements import Announcements
from unlearn_server.decisions import Decisions
from unlearn_server.domain import (
    FINAL_STATES,
    Erasure,
    ErasureState,
    Method,
    Selection,
    SelectionKind,
)
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.holding import Holding
from unlearn_server.intake import Intake, Request
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import erasures, holds, models, suppressions
from unlearn_server.ledger.database import Database
from unlearn_server.log import commitments
from unlearn_server.previewing import Previewer
from unlearn_server.services import fields, messages
from unlearning.commitment import SALT_BYTES

LARGEST_SELECTION = 10_000
LONGEST_REGULATION = 64
LARGEST_WATCH = 16
"""Watchers at a time: each holds a thread of the pool while it waits."""

_ENDS_A_WATCH = FINAL_STATES | {ErasureState.NEEDS_OPERATOR, ErasureState.HELD}
_LOOK_AGAIN_SECONDS = 1.0

_KINDS = {
    "subjects": SelectionKind.SUBJECTS,
    "subject_hashes": SelectionKind.SUBJECTS,
    "samples": SelectionKind.SAMPLES,
    "all_user_data": SelectionKind.ALL_USER_DATA,
}


class ErasureService(erasure_pb2_grpc.ErasureServiceServicer):
    """Takes requests to be forgotten."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        intake: Intake,
        decisions: Decisions,
        holding: Holding,
        previewer: Previewer,
        changes: Announcements,
        draining: Event,
    ) -> None:
        self._database = database
        self._keys = keys
        self._intake = intake
        self._decisions = decisions
        self._holding = holding
        self._previewer = previewer
        self._changes = changes
        self._draining = draining
        self._watchers = BoundedSemaphore(LARGEST_WATCH)

    def CreateErasure(
        self, request: erasure_pb2.CreateErasureRequest, context: grpc.ServicerContext
    ) -> erasure_pb2.Erasure:
        """Accepts a request, durably."""
        del context
        parsed = self._parse(request)
        accept = self._intake.preview if request.validate_only else self._intake.accept
        return messages.erasure(accept(parsed))

    def GetErasure(
        self, request: erasure_pb2.GetErasureRequest, context: grpc.ServicerContext
    ) -> erasure_pb2.Erasure:
        """Answers an erasure as it stands."""
        del context
        return messages.erasure(self._get(fields.erasure_id(request.name)))

    def ListErasures(
        self, request: erasure_pb2.ListErasuresRequest, context: grpc.ServicerContext
    ) -> erasure_pb2.ListErasuresResponse:
        """Lists erasures in order of acceptance."""
        del context
        states = sorted({_state(state) for state in request.states})
        page = fields.Page.of(
            request.page_size, request.page_token, "+".join(["erasures", *states])
        )
        with self._database.read() as conn:
            found = erasures.page(conn, states, page.after, page.size)
        return erasure_pb2.ListErasuresResponse(
            erasures=[messages.erasure(erasure) for erasure in found],
            next_page_token=page.next_token([erasure.key for erasure in found]),
        )

    def WatchErasure(
        self, request: erasure_pb2.WatchErasureRequest, context: grpc.ServicerContext
    ) -> Iterator[erasure_pb2.Erasure]:
        """Streams an erasure at once and at each change."""
        request_id = fields.erasure_id(request.name)
        if not self._watchers.acquire(blocking=False):
            message = f"{LARGEST_WATCH} erasures are watched already; try later, or use GetErasure"
            raise ServiceError(Reason.TOO_MANY_WATCHERS, message, retry_after_seconds=1.0)
        try:
            yield from map(messages.erasure, self._changes_of(request_id, context))
        finally:
            self._watchers.release()

    def CancelErasure(
        self, request: erasure_pb2.CancelErasureRequest, context: grpc.ServicerContext
    ) -> erasure_pb2.Erasure:
        """Withdraws a request."""
        del context
        return messages.erasure(self._intake.cancel(fields.erasure_id(request.name)))

    def RetryErasure(
        self, request: erasure_pb2.RetryErasureRequest, context: grpc.ServicerContext
    ) -> erasure_pb2.Erasure:
        """Sends a request back to the eraser."""
        del context
        return messages.erasure(self._intake.retry(fields.erasure_id(request.name)))

    def ExtendErasure(
        self, request: erasure_pb2.ExtendErasureRequest, context: grpc.ServicerContext
    ) -> erasure_pb2.Erasure:
        """Lets a request take longer, once."""
        del context
        request_id = fields.erasure_id(request.name)
        due_time, reason = fields.time(request.due_time, "due_time"), fields.reason(request.reason)
        return messages.erasure(self._decisions.extend(request_id, due_time, reason))

    def RefuseErasure(
        self, request: erasure_pb2.RefuseErasureRequest, context: grpc.ServicerContext
    ) -> erasure_pb2.Erasure:
        """Ends a request on a ground."""
        del context
        request_id = fields.erasure_id(request.name)
        ground, reason = fields.ground(request.ground), fields.reason(request.reason)
        return messages.erasure(self._decisions.refuse(request_id, ground, reason))

    def PreviewErasure(
        self, request: erasure_pb2.PreviewErasureRequest, context: grpc.ServicerContext
    ) -> erasure_pb2.PreviewErasureResponse:
        """Says what an erasure would do, and does nothing."""
        del context
        model_id = fields.model_id(request.model, "model")
        selection = self._selection(request.selection, "selection")
        if _method(request.method, selection, "method") is Method.NEWTON:
            message = "method: NEWTON is for TANGENT models, which have no preview; use EXACT"
            raise ServiceError(Reason.METHOD_NOT_APPLICABLE, message, field="method")
        minimum = fields.not_negative(request.minimum_class_samples, "minimum_class_samples")
        return messages.preview(self._previewer.preview(model_id, selection, minimum))

    def PlaceHold(
        self, request: erasure_pb2.PlaceHoldRequest, context: grpc.ServicerContext
    ) -> erasure_pb2.Hold:
        """Suspends a subject's erasure."""
        del context
        subject_hash = self._subject(request.subject_id)
        return messages.hold(self._holding.place(subject_hash, fields.reason(request.reason)))

    def GetHold(
        self, request: erasure_pb2.GetHoldRequest, context: grpc.ServicerContext
    ) -> erasure_pb2.Hold:
        """Answers a hold as it stands."""
        del context
        with self._database.read() as conn:
            return messages.hold(holds.get(conn, fields.hold_id(request.name)))

    def ListHolds(
        self, request: erasure_pb2.ListHoldsRequest, context: grpc.ServicerContext
    ) -> erasure_pb2.ListHoldsResponse:
        """Lists holds in the order they were placed in."""
        del context
        page = fields.Page.of(request.page_size, request.page_token, "holds")
        with self._database.read() as conn:
            found = holds.page(conn, page.after, page.size)
        return erasure_pb2.ListHoldsResponse(
            holds=map(messages.hold, found),
            next_page_token=page.next_token([hold.key for hold in found]),
        )

    def LiftHold(
        self, request: erasure_pb2.LiftHoldRequest, context: grpc.ServicerContext
    ) -> erasure_pb2.Hold:
        """Ends a hold."""
        del context
        return messages.hold(self._holding.lift(fields.hold_id(request.name)))

    def LiftSuppression(
        self, request: erasure_pb2.LiftSuppressionRequest, context: grpc.ServicerContext
    ) -> erasure_pb2.LiftSuppressionResponse:
        """Lets an erased subject come back."""
        del context
        model_id = fields.model_id(request.model, "model")
        subject_hash, reason = self._subject(request.subject_id), fields.reason(request.reason)
        with self._database.write() as conn:
            model = models.get(conn, model_id)
            suppressions.lift(conn, model.key, subject_hash, reason, datetime.now(UTC))
        return erasure_pb2.LiftSuppressionResponse()

    def _subject(self, subject_id: str) -> bytes:
        if not subject_id:
            raise fields.invalid("subject_id", "is empty", "say whom it is about")
        return self._keys.hash_subject(subject_id)

    def _get(self, request_id: str) -> Erasure:
        with self._database.read() as conn:
            return erasures.get(conn, request_id)

    def _changes_of(self, request_id: str, context: grpc.ServicerContext) -> Iterator[Erasure]:
        seen = None
        while context.is_active():
            heard = self._changes.rings
            erasure = self._get(request_id)
            if erasure != seen:
                yield erasure
                seen = erasure
            if erasure.state in _ENDS_A_WATCH:
                return
            if self._draining.is_set():
                message = "the server is going down; the erasure goes on when it is back"
                raise ServiceError(Reason.SHUTTING_DOWN, message, retry_after_seconds=1.0)
            self._changes.wait(heard, _LOOK_AGAIN_SECONDS)

    def _parse(self, request: erasure_pb2.CreateErasureRequest) -> Request:
        erasure = request.erasure
        # Without a salt of the caller's nobody can open what certificates commit to.
        salt = fields.salt(request.commitment_salt, "commitment_salt") or token_bytes(SALT_BYTES)
        if len(erasure.regulation) > LONGEST_REGULATION or not erasure.regulation.isprintable():
            raise fields.invalid(
                "erasure.regulation",
                "is too long, or has characters that cannot be shown",
                'use a short name such as "gdpr"',
            )
        selection = self._selection(erasure.selection, "erasure.selection")
        model_ids = tuple(
            dict.fromkeys(fields.model_id(name, "erasure.models") for name in erasure.models)
        )
        if selection.kind is SelectionKind.ALL_USER_DATA and not model_ids:
            raise fields.invalid("erasure.models", "is empty", "name models with all_user_data")
        return Request(
            request_id=fields.request_id(request.request_id),
            fingerprint=self._fingerprint(request),
            selection=selection,
            subject_root=_subject_root(salt, erasure.selection),
            commitment_salt=self._keys.conceal(salt),
            model_ids=model_ids,
            method=_method(erasure.method, selection, "erasure.method"),
            regulation=erasure.regulation,
            receive_time=_receive_time(erasure),
        )

    def _selection(self, selection: erasure_pb2.Selection, field: str) -> Selection:
        by = selection.WhichOneof("by")
        ids = () if by in {None, "all_user_data"} else tuple(getattr(selection, by).ids)
        if by is None or not (ids or selection.all_user_data) or not all(ids):
            message = f"{field}: is empty or names an empty id; say what to forget"
            raise ServiceError(Reason.EMPTY_SELECTION, message, field=field)
        if len(ids) > LARGEST_SELECTION:
            raise fields.invalid(
                field, f"has {len(ids)} ids", f"send {LARGEST_SELECTION} a request"
            )
        hashes: dict[str, Callable[[str], bytes]] = {
            "subjects": self._keys.hash_subject,
            "samples": self._keys.hash_sample,
            "subject_hashes": lambda own: _subject_hash(own, field),
        }
        return Selection(_KINDS[by], tuple(hashes[by](own) for own in dict.fromkeys(ids)))

    def _fingerprint(self, request: erasure_pb2.CreateErasureRequest) -> bytes:
        """Recognises a repeat by what callers may set."""
        erasure = request.erasure
        content = erasure_pb2.CreateErasureRequest(
            erasure=erasure_pb2.Erasure(
                selection=erasure.selection,
                models=erasure.models,
                method=erasure.method,
                regulation=erasure.regulation,
                receive_time=erasure.receive_time if erasure.HasField("receive_time") else None,
            ),
            commitment_salt=request.commitment_salt,
        )
        return self._keys.hash_content(content.SerializeToString(deterministic=True))


def _subject_root(salt: bytes, selection: erasure_pb2.Selection) -> bytes | None:
    """Commits to the subjects named; None where their ids are not said."""
    if selection.WhichOneof("by") != "subjects":
        return None
    return commitments.root(salt, "subject", set(selection.subjects.ids))


def _subject_hash(hexadecimal: str, field: str) -> bytes:
    try:
        digest = bytes.fromhex(hexadecimal)
    except ValueError:
        digest = b""
    if len(digest) != erasures.HASH_BYTES:
        raise fields.invalid(
            f"{field}.subject_hashes",
            "is not a subject's keyed hash",
            "use the 64 hexadecimal digits that ValuationService gives",
        )
    return digest


def _state(value: int) -> ErasureState:
    for state in ErasureState:
        if erasure_pb2.Erasure.State.Value(state.name) == value:
            return state
    raise fields.invalid("states", f"{value} is not a state", "use those of Erasure.State")


def _method(value: int, selection: Selection, field: str) -> Method | None:
    """The method asked for; raises METHOD_NOT_APPLICABLE where the selection rules it out."""
    if value == erasure_pb2.Erasure.METHOD_UNSPECIFIED:
        return None
    if value == erasure_pb2.Erasure.ZERO and selection.kind is not SelectionKind.ALL_USER_DATA:
        message = f"{field}: ZERO forgets all user data; select that, or use another method"
        raise ServiceError(Reason.METHOD_NOT_APPLICABLE, message, field=field)
    for method in Method:
        if erasure_pb2.Erasure.Method.Value(method.name) == value:
            return method
    raise fields.invalid(field, f"{value} is not a method", "leave it empty")


def _receive_time(erasure: erasure_pb2.Erasure) -> datetime:
    now = datetime.now(UTC)
    if not erasure.HasField("receive_time"):
        return now
    try:
        received = erasure.receive_time.ToDatetime(UTC)
    except (ValueError, OverflowError):
        received = datetime.max.replace(tzinfo=UTC)
    if received > now:
        raise fields.invalid(
            "erasure.receive_time", "is in the future or no time", "say when it was received"
        )
    return received
