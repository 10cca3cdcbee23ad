"""Everything that can go wrong, in one catalogue.

A ``ServiceError`` is for the caller. Its message names the field, the problem and
the fix, and it never holds an id, a sample or a feature: messages end up in other
people's logs. What only the operator may see goes to the log (see ``interceptor``).
"""

# ruff: noqa: PIE796 # reasons of one code are not aliases, see Reason.__new__

from enum import Enum

from grpc import StatusCode

from unlearning.errors import CapacityError, CoreError, InvalidInputError, UnlearningError


class Reason(Enum):
    """A machine-readable reason, as ``google.rpc.ErrorInfo`` gives it, and its status code."""

    code: StatusCode

    INVALID_FIELD = StatusCode.INVALID_ARGUMENT
    REQUEST_ID_MALFORMED = StatusCode.INVALID_ARGUMENT
    EMPTY_SELECTION = StatusCode.INVALID_ARGUMENT
    PAGE_TOKEN_INVALID = StatusCode.INVALID_ARGUMENT
    MODEL_NOT_FOUND = StatusCode.NOT_FOUND
    ERASURE_NOT_FOUND = StatusCode.NOT_FOUND
    RELEASE_NOT_FOUND = StatusCode.NOT_FOUND
    CERTIFICATE_NOT_FOUND = StatusCode.NOT_FOUND
    HOLD_NOT_FOUND = StatusCode.NOT_FOUND
    SUPPRESSION_NOT_FOUND = StatusCode.NOT_FOUND
    MODEL_EXISTS = StatusCode.ALREADY_EXISTS
    SAMPLE_EXISTS = StatusCode.ALREADY_EXISTS
    REQUEST_ID_REUSED = StatusCode.ALREADY_EXISTS
    ETAG_MISMATCH = StatusCode.ABORTED
    MODEL_CHANGED = StatusCode.ABORTED
    CORE_CHANGED = StatusCode.FAILED_PRECONDITION
    CORE_UNUSABLE = StatusCode.FAILED_PRECONDITION
    CORE_SAMPLE = StatusCode.FAILED_PRECONDITION
    NOT_SOLVABLE = StatusCode.FAILED_PRECONDITION
    METHOD_NOT_APPLICABLE = StatusCode.FAILED_PRECONDITION
    ERASURE_OPEN = StatusCode.FAILED_PRECONDITION
    HOLD_APPLIES = StatusCode.FAILED_PRECONDITION
    ERASURE_STATE = StatusCode.FAILED_PRECONDITION
    SUBJECT_SUPPRESSED = StatusCode.FAILED_PRECONDITION
    NO_SAMPLES = StatusCode.FAILED_PRECONDITION
    RELEASE_SOLVING = StatusCode.FAILED_PRECONDITION
    SIZE_OUT_OF_RANGE = StatusCode.OUT_OF_RANGE
    CAPACITY_EXCEEDED = StatusCode.RESOURCE_EXHAUSTED
    MESSAGE_TOO_LARGE = StatusCode.RESOURCE_EXHAUSTED
    STORAGE_FULL = StatusCode.RESOURCE_EXHAUSTED
    TOO_MANY_WATCHERS = StatusCode.RESOURCE_EXHAUSTED
    OVERLOADED = StatusCode.RESOURCE_EXHAUSTED
    METHOD_NOT_IMPLEMENTED = StatusCode.UNIMPLEMENTED
    SHUTTING_DOWN = StatusCode.UNAVAILABLE
    TAKEN_OVER = StatusCode.UNAVAILABLE
    INTERNAL = StatusCode.INTERNAL

    def __new__(cls, code: StatusCode) -> "Reason":
        """Keeps reasons of one code apart; equal values would make them aliases."""
        reason = object.__new__(cls)
        reason._value_ = len(cls.__members__)
        reason.code = code
        return reason


class ServerError(Exception):
    """Root of every error that the server raises on purpose."""


class ServiceError(ServerError):
    """A request that cannot be served, in words for its caller.

    Attributes:
        reason: from the catalogue; decides the status code.
        message: field, problem and fix.
        field: path of the offending request field, if it was one field's fault.
        retry_after_seconds: when trying again may help; None if it will not by itself.
        metadata: what a program needs to react, such as how many rows still fit.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        field: str = "",
        retry_after_seconds: float | None = None,
        **metadata: str | int,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.retry_after_seconds = retry_after_seconds
        self.metadata = {name: str(value) for name, value in metadata.items()}


class TakenOverError(ServiceError):
    """Another server erases now, or is about to; this one may not write what it was about to."""

    def __init__(self) -> None:
        super().__init__(
            Reason.TAKEN_OVER,
            "another server is taking this one's place; nothing was changed: ask again",
            retry_after_seconds=1.0,
        )


class StartupError(ServerError):
    """The server must not start: its data directory, database or keys are not fit for use."""


class DecryptionError(ServerError):
    """A sealed sample does not open: another key, another identity, or altered bytes."""


def from_mathematics(error: UnlearningError) -> ServiceError:
    """An error of the mathematics, as its caller gets it."""
    match error:
        case InvalidInputError():
            row = {} if error.row is None else {"sample": error.row}
            return ServiceError(Reason.INVALID_FIELD, str(error), field=error.field, **row)
        case CapacityError():
            return ServiceError(Reason.CAPACITY_EXCEEDED, str(error), fits=error.fits)
        case CoreError():
            return ServiceError(Reason.CORE_UNUSABLE, str(error), field="core")
    return ServiceError(Reason.NOT_SOLVABLE, f"model: {error}; its operator must look at it")


def in_message(index: int, error: ServerError | UnlearningError) -> ServerError:
    """The same error, naming the message of a stream that it is about, counted from 0."""
    if isinstance(error, UnlearningError):
        error = from_mathematics(error)
    if isinstance(error, ServiceError):
        error.metadata["message"] = str(index)
    return error
