"""ErasureService: asking to forget, and seeing it done."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from secrets import token_bytes
from uuid import uuid4

from unlearn.v1 import erasure_pb2
from unlearn.v1.erasure_pb2 import (
    CancelErasureRequest,
    CreateErasureRequest,
    Erasure,
    ExtendErasureRequest,
    GetErasureRequest,
    ListErasuresRequest,
    PreviewErasureRequest,
    PreviewErasureResponse,
    RefuseErasureRequest,
    RetryErasureRequest,
    WatchErasureRequest,
)
from unlearn_client.connection import Connection, pages
from unlearn_client.errors import rpc_errors
from unlearn_client.names import erasure_name, model_name
from unlearn_client.waiting import PATIENCE, follow

SALT_BYTES = 32


class ErasureCalls(Connection):
    """Calls about erasures; each raises ``UnlearnError`` where it is refused or late."""

    def create_erasure(
        self,
        selection: erasure_pb2.Selection,
        models: Iterable[str] = (),
        method: Erasure.Method.ValueType = Erasure.METHOD_UNSPECIFIED,
        regulation: str = "",
        *,
        request_id: str | None = None,
        commitment_salt: bytes | None = None,
        validate_only: bool = False,
    ) -> Erasure:
        """Asks to forget. Once this returns, it will be carried out exactly once.

        Args:
            selection: what to forget; see ``Selection``.
            models: in which models; none: in all that hold a match.
            method: how; unspecified: the best the model allows.
            regulation: on what ground, e.g. ``gdpr``.
            request_id: a UUID4; None: a fresh one. Pass the same again to ask safely
                after a lost answer.
            commitment_salt: 32 random bytes that open the certificate's commitments;
                None: fresh ones, which nobody keeps.
            validate_only: answer with what would be erased, and change nothing.

        Raises:
            UnlearnError: the service refused it (ALREADY_EXISTS: the request id was
                used with other content), or did not answer in time.
        """
        request = CreateErasureRequest(
            request_id=request_id or str(uuid4()),
            erasure=Erasure(
                selection=selection,
                models=[model_name(model) for model in models],
                method=method,
                regulation=regulation,
            ),
            validate_only=validate_only,
            commitment_salt=token_bytes(SALT_BYTES) if commitment_salt is None else commitment_salt,
        )
        return self._call(self._erasures.CreateErasure, request)

    def preview_erasure(
        self, model: str, selection: erasure_pb2.Selection, *, minimum_class_samples: int = 0
    ) -> PreviewErasureResponse:
        """What an erasure would do to a FEATURES model, in closed form; changes nothing.

        Args:
            model: the model.
            selection: what would be forgotten.
            minimum_class_samples: ask which classes would be left with fewer, and whose
                erasure would make that more; 0: not asked.

        Raises:
            UnlearnError: UNIMPLEMENTED for a TANGENT model, ABORTED if samples were erased
                meanwhile, RESOURCE_EXHAUSTED while something like it is computed.
        """
        request = PreviewErasureRequest(
            model=model_name(model),
            selection=selection,
            minimum_class_samples=minimum_class_samples,
        )
        return self._call(self._erasures.PreviewErasure, request)

    def get_erasure(self, erasure: str) -> Erasure:
        """The erasure as it stands.

        Raises:
            UnlearnError: NOT_FOUND if there is none.
        """
        request = GetErasureRequest(name=erasure_name(erasure))
        return self._call(self._erasures.GetErasure, request)

    def list_erasures(self, states: Iterable[Erasure.State.ValueType] = ()) -> Iterator[Erasure]:
        """Every erasure in one of these states (none: in any), fetched page by page.

        Raises:
            UnlearnError: a page was refused, or did not come in time.
        """
        wanted = tuple(states)
        for page in pages(
            lambda token: self._call(
                self._erasures.ListErasures, ListErasuresRequest(page_token=token, states=wanted)
            )
        ):
            yield from page.erasures

    def watch_erasure(self, erasure: str) -> Iterator[Erasure]:
        """The erasure now and at each change, until it ends or waits for a person.

        Raises:
            UnlearnError: RESOURCE_EXHAUSTED if too many watch; DEADLINE_EXCEEDED when
                the client's timeout is over. ``wait_for_erasure`` outlasts both.
        """
        return self._watch(erasure, self._timeout)

    def _watch(self, erasure: str, timeout: float) -> Iterator[Erasure]:
        request = WatchErasureRequest(name=erasure_name(erasure))
        with rpc_errors():
            changes = self._erasures.WatchErasure(request, timeout=timeout)
            try:
                yield from changes
            finally:  # a caller who has seen enough must not keep the stream open
                changes.cancel()

    def wait_for_erasure(
        self,
        erasure: str,
        *,
        patience: float = PATIENCE,
        progress: Callable[[Erasure], None] | None = None,
    ) -> Erasure:
        """The erasure once it has ended or waits for a person.

        Watches; where the stream breaks or there are too many watchers, polls.

        Args:
            erasure: the erasure.
            patience: seconds to wait in all.
            progress: told the erasure at once and at each change.

        Raises:
            UnlearnError: the service refused it; or DEADLINE_EXCEEDED when patience
                is over.
        """
        for latest in follow(
            watch=lambda: self._watch(erasure, min(self._timeout, patience)),
            poll=lambda: self.get_erasure(erasure),
            patience=patience,
        ):
            if progress:
                progress(latest)
        return latest

    def cancel_erasure(self, erasure: str) -> Erasure:
        """Withdraws a request that has not been carried out.

        Raises:
            UnlearnError: FAILED_PRECONDITION if it is too late.
        """
        request = CancelErasureRequest(name=erasure_name(erasure))
        return self._call(self._erasures.CancelErasure, request)

    def retry_erasure(self, erasure: str) -> Erasure:
        """Sends a request that needs an operator back to be carried out.

        Raises:
            UnlearnError: FAILED_PRECONDITION if it needs none.
        """
        request = RetryErasureRequest(name=erasure_name(erasure))
        return self._call(self._erasures.RetryErasure, request)

    def extend_erasure(self, erasure: str, due_time: datetime, reason: str) -> Erasure:
        """Lets a request take longer, once (GDPR Art. 12(3)).

        Args:
            erasure: one that is open, and not overdue.
            due_time: with a time zone; at most two calendar months after the first due time.
            reason: why, in a line for people, which is kept: put no personal data into it.

        Raises:
            UnlearnError: FAILED_PRECONDITION if it cannot be extended any more.
        """
        request = ExtendErasureRequest(name=erasure_name(erasure), reason=reason)
        request.due_time.FromDatetime(due_time)
        return self._call(self._erasures.ExtendErasure, request)

    def refuse_erasure(self, erasure: str, ground: str, reason: str) -> Erasure:
        """Ends a request without carrying it out; the refusal is certified.

        Args:
            erasure: one that is pending, held or needs an operator.
            ground: its short code, e.g. ``gdpr-17-3-b``; it is on the certificate.
            reason: why, in a line for people, which is kept but is not on the certificate.

        Raises:
            UnlearnError: FAILED_PRECONDITION if it is too late.
        """
        request = RefuseErasureRequest(name=erasure_name(erasure), ground=ground, reason=reason)
        return self._call(self._erasures.RefuseErasure, request)
