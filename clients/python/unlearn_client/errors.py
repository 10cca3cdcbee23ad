"""What can go wrong, in words that hold no subject's or sample's id of this client's making."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


class UnlearnClientError(Exception):
    """Root of every error this package raises on purpose."""


class UnlearnError(UnlearnClientError):
    """The service refused a call, or could not be reached in time.

    Attributes:
        code: the gRPC status code.
        message: the server's words, for people.
        reason: ``ErrorInfo.reason``, for programs, e.g. ``MODEL_NOT_FOUND``; empty
            where no server answered.
        metadata: ``ErrorInfo.metadata``.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{reason or code.name}: {message}")
        self.code = code
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})

    @classmethod
    def from_rpc_error(cls, error: grpc.RpcError) -> "UnlearnError":
        """Reads the google.rpc.Status that came with a failed call."""
        info = _error_info(error)
        return cls(error.code(), error.details() or "", info.reason, info.metadata)


class SampleFileError(UnlearnClientError, ValueError):
    """A file of samples cannot be used.

    The text names the place and never the value found there, which may be personal.

    Attributes:
        row: its number, counted from 1 without a header; None if the whole file is meant.
        column: the column at fault, if one is.
    """

    def __init__(
        self, file: str, problem: str, *, row: int | None = None, column: str | None = None
    ) -> None:
        place = [file]
        if row is not None:
            place.append(f"row {row}")
        if column is not None:
            place.append(f"column {column}")
        super().__init__(f"{', '.join(place)}: {problem}")
        self.row = row
        self.column = column


class VerificationError(UnlearnClientError):
    """Evidence is refused: its text says what is wrong, and where there is one, the fix."""


class UnavailableError(VerificationError):
    """Evidence could not be had, which says nothing about whether it is good."""


class WitnessError(UnlearnClientError):
    """A witness cannot start: its text names what is wrong, and what to do."""


@contextmanager
def rpc_errors() -> Iterator[None]:
    """Turns gRPC's errors into this package's.

    Raises:
        UnlearnError: instead of a ``grpc.RpcError``.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise UnlearnError.from_rpc_error(error) from error


def _error_info(error: grpc.RpcError) -> error_details_pb2.ErrorInfo:
    """The AIP-193 ErrorInfo of a failed call; empty if it brought none."""
    info = error_details_pb2.ErrorInfo()
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # a proxy rewrote code or message: what it says now counts
        return info
    for detail in status.details if status else ():
        if detail.Unpack(info):
            break
    return info
