"""Whether a witness signs: C2SP tlog-witness, ``add-checkpoint``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from threading import Lock
from time import time

from unlearn_client.errors import VerificationError
from unlearn_client.verification.merkle import verify_consistency
from unlearn_client.verification.notes import (
    Checkpoint,
    EmptyLogError,
    Signature,
    read_checkpoint,
)
from unlearn_client.witness.keys import WitnessKey
from unlearn_client.witness.logs import Log
from unlearn_client.witness.requests import AddCheckpoint, read_request
from unlearn_client.witness.state import State

SIZE_TYPE = "text/x.tlog.size"
TEXT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer.

    Attributes:
        status: its code.
        body: of one or more lines.
        media_type: of the body.
    """

    status: HTTPStatus
    body: str
    media_type: str = TEXT_TYPE


class Cosigner:
    """Signs checkpoints, one at a time. Safe to share between threads.

    Args:
        key: that it signs with.
        logs: that it signs for, by origin.
        state: what it signed before.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        key: WitnessKey,
        logs: Mapping[str, Log],
        state: State,
        clock: Callable[[], float] = time,
    ) -> None:
        self._key = key
        self._logs = logs
        self._state = state
        self._clock = clock
        self._turn = Lock()

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answers a request to cosign; the signature, or why there is none."""
        try:
            request = read_request(body)
        except EmptyLogError as error:
            return _refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except VerificationError as error:
            return _refused(HTTPStatus.BAD_REQUEST, str(error))
        checkpoint = request.checkpoint
        log = self._logs.get(checkpoint.origin)
        if log is None:
            return _refused(HTTPStatus.NOT_FOUND, "this log is not known here")
        try:
            signatures = log.signatures(checkpoint)
        except VerificationError as error:
            return _refused(HTTPStatus.FORBIDDEN, str(error))
        if not signatures:
            return _refused(HTTPStatus.FORBIDDEN, "none of the log's known keys signed it")
        if request.old_size > checkpoint.size:
            return _refused(HTTPStatus.BAD_REQUEST, "the old size is larger than the checkpoint's")
        # Compared and stored by one at a time: else a smaller checkpoint could come last.
        with self._turn:
            return self._decide(request, signatures)

    def newest(self, origin_hash: str) -> Answer:
        """The checkpoint signed last of the log whose origin has this SHA-256, in hexadecimal."""
        for origin, checkpoint in self._state.checkpoints.items():
            if sha256(origin.encode()).hexdigest() == origin_hash:
                return Answer(HTTPStatus.OK, checkpoint.note.decode())
        return _refused(HTTPStatus.NOT_FOUND, "no checkpoint of such a log was signed here")

    def _decide(self, request: AddCheckpoint, signatures: list[Signature]) -> Answer:
        checkpoint = request.checkpoint
        known = self._state.checkpoints.get(checkpoint.origin)
        size = known.size if known else 0
        if request.old_size != size:
            return Answer(HTTPStatus.CONFLICT, f"{size}\n", SIZE_TYPE)
        try:
            _check_consistency(request, known)
            cosignature = self._key.cosign(checkpoint.text, self._now(known))
            lines = "".join(str(each) for each in (*signatures, cosignature))
            kept = read_checkpoint(checkpoint.text + f"\n{lines}".encode())
        except VerificationError as error:
            return _refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        self._state.keep(kept)
        return Answer(HTTPStatus.OK, str(cosignature))

    def _now(self, known: Checkpoint | None) -> int:
        """Never before the time signed last, even if the clock was set back."""
        last = self._key.witness.time_of(known) if known else None
        return max(int(self._clock()), int(last.timestamp()) if last else 0)


def _check_consistency(request: AddCheckpoint, known: Checkpoint | None) -> None:
    checkpoint = request.checkpoint
    if known is None:
        if request.proof:
            raise VerificationError("nothing is to be proven of the empty log")
        return
    verify_consistency(known.size, checkpoint.size, request.proof, known.root, checkpoint.root)


def _refused(status: HTTPStatus, why: str) -> Answer:
    return Answer(status, f"{why}\n")
