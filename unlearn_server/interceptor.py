"""What every request has in common: an id, a translation of errors, a count and a log line.

Those that are refused because others wait are counted only.

Nothing is said about a request but its method, its code, its reason and how long it
took. An error that nobody foresaw shows its caller the request's id and no more; the
traceback stays in the log, under that id.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, TypeAlias
from uuid import uuid4

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from sqlalchemy.exc import OperationalError

from unlearn_server.errors import Reason, ServiceError, from_mathematics
from unlearn_server.metrics import Metrics
from unlearn_server.overload import Workers
from unlearning.errors import UnlearningError

DOMAIN = "unlearn.v1"

LARGEST_MESSAGE = 16 * 2**20
"""Bytes of one request message."""

REQUEST_ID_HEADER = "x-request-id"

# Hexadecimal, as UUIDs and trace ids are: a name or an address does not fit in.
_REQUEST_ID = re.compile(r"[0-9A-Fa-f-]{8,64}")

_UNKNOWN_METHOD = "unknown"
_POSTGRESQL_DISK_FULL = "53100"
_HEALTH = "/grpc.health.v1.Health/"

_log = structlog.get_logger(__name__)

# The stubs make it generic; grpc itself does not.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behavior = Callable[[Any, grpc.ServicerContext], Any]


class RequestInterceptor(grpc.ServerInterceptor):
    """Wraps handlers of all four kinds, and those of methods that do not exist."""

    def __init__(self, metrics: Metrics, workers: Workers) -> None:
        self._metrics = metrics
        self._workers = workers

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Gives grpc the handler it would have called, wrapped."""
        handler = continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            # Labelled alike, or a caller could make metrics without end.
            handler, method = grpc.stream_stream_rpc_method_handler(_unknown), _UNKNOWN_METHOD
        request_id = _request_id(handler_call_details)
        # A busy server is not a sick one: who asks for its health waits for the answer.
        if self._workers.is_full and not method.startswith(_HEALTH):
            return self._refusal(method, request_id)
        behavior, build = _parts(handler)
        check = _check_each if handler.request_streaming else _check_size

        def unary(request: Any, context: grpc.ServicerContext) -> object:
            with self._request(method, request_id, context):
                return behavior(check(request), context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[object]:
            with self._request(method, request_id, context):
                yield from behavior(check(request), context)

        wrapped: Handler = build(
            stream if handler.response_streaming else unary,
            handler.request_deserializer,
            handler.response_serializer,
        )
        return wrapped

    def _refusal(self, method: str, request_id: str) -> Handler:
        """Ends a request without waiting for what it sends, as handlers of streams may."""

        def refuse(_requests: object, context: grpc.ServicerContext) -> None:
            with self._request(method, request_id, context):
                raise self._workers.refusal()

        refuse.experimental_thread_pool = self._workers.refusing  # type: ignore[attr-defined]
        handler: Handler = grpc.stream_unary_rpc_method_handler(refuse)
        return handler

    @contextmanager
    def _request(
        self, method: str, request_id: str, context: grpc.ServicerContext
    ) -> Iterator[None]:
        """Surrounds a request from its handler's first line to its last message."""
        # A thread serves many requests; what the one before bound is not undone but
        # replaced, since an abandoned stream may end on another thread.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        context.set_trailing_metadata(((REQUEST_ID_HEADER, request_id),))
        started = perf_counter()
        code, reason = grpc.StatusCode.UNKNOWN, ""
        try:
            yield
            code = _code(context) or _code_of_silence(context)
        except GeneratorExit:
            code = grpc.StatusCode.CANCELLED
            raise
        except Exception as error:
            if _is_grpcs_own(error, context):
                code = _code(context) or grpc.StatusCode.CANCELLED
                raise
            failure = _translate(error, request_id)
            code, reason = failure.reason.code, failure.reason.name
            _abort(context, failure, request_id)
        finally:
            self._record(method, code, reason, perf_counter() - started, request_id)

    def _record(
        self, method: str, code: grpc.StatusCode, reason: str, seconds: float, request_id: str
    ) -> None:
        self._metrics.requests.labels(method, code.name).inc()
        self._metrics.request_seconds.labels(method).observe(seconds)
        if reason == Reason.OVERLOADED.name:
            return  # a line for each would keep a busy server from those that it took in
        _log.info(
            "request",
            method=method,
            code=code.name,
            reason=reason,
            seconds=round(seconds, 6),
            request_id=request_id,
        )


def _parts(handler: Handler) -> tuple[Behavior, Callable[..., Handler]]:
    """The function that a handler calls, and what makes such a handler."""
    kinds = {
        (False, False): (handler.unary_unary, grpc.unary_unary_rpc_method_handler),
        (False, True): (handler.unary_stream, grpc.unary_stream_rpc_method_handler),
        (True, False): (handler.stream_unary, grpc.stream_unary_rpc_method_handler),
        (True, True): (handler.stream_stream, grpc.stream_stream_rpc_method_handler),
    }
    behavior, build = kinds[bool(handler.request_streaming), bool(handler.response_streaming)]
    assert behavior is not None  # noqa: S101 # grpc sets the one that the two flags name
    return behavior, build


def _check_size(request: Any) -> Any:
    if isinstance(request, Message) and request.ByteSize() > LARGEST_MESSAGE:
        message = (
            f"the message has {request.ByteSize()} bytes; send several of at most "
            f"{LARGEST_MESSAGE} instead"
        )
        raise ServiceError(Reason.MESSAGE_TOO_LARGE, message)
    return request


def _check_each(requests: Iterator[Any]) -> Iterator[Any]:
    return map(_check_size, requests)


def _unknown(_requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
    raise NotImplementedError


def _request_id(details: grpc.HandlerCallDetails) -> str:
    """The caller's id for the request, if it is one that may be logged; else a new one."""
    for name, value in details.invocation_metadata or ():
        if name == REQUEST_ID_HEADER and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return str(uuid4())


def _code(context: grpc.ServicerContext) -> grpc.StatusCode | None:
    code: grpc.StatusCode | None = context.code()  # type: ignore[attr-defined] # not in the stubs
    return code


def _code_of_silence(context: grpc.ServicerContext) -> grpc.StatusCode:
    """The code of a handler that returned without setting one."""
    return grpc.StatusCode.OK if context.is_active() else grpc.StatusCode.CANCELLED


def _is_grpcs_own(error: Exception, context: grpc.ServicerContext) -> bool:
    """Whether grpc raised it: a bare Exception after an abort, or a caller who left."""
    aborted = type(error) is Exception and _code(context) not in {None, grpc.StatusCode.OK}
    left = isinstance(error, (grpc.RpcError, grpc.FutureCancelledError)) and not context.is_active()
    return aborted or left


def _translate(error: Exception, request_id: str) -> ServiceError:
    """What the caller gets to see of an error."""
    match error:
        case ServiceError():
            return error
        case UnlearningError():
            return from_mathematics(error)
        case NotImplementedError():
            message = "method: this server does not have it; call one that the contract names"
            return ServiceError(Reason.METHOD_NOT_IMPLEMENTED, message)
        case _ if _is_storage_full(error):
            message = "the server's disk is full; nothing was changed; tell its operator"
            return ServiceError(Reason.STORAGE_FULL, message)
    _log.error("request failed", exc_info=error, request_id=request_id)
    message = f"an internal error; the server's log has it under request {request_id}"
    return ServiceError(Reason.INTERNAL, message)


def _is_storage_full(error: Exception) -> bool:
    if isinstance(error, OperationalError):
        is_full = getattr(error.orig, "sqlstate", None) == _POSTGRESQL_DISK_FULL
        return is_full or "database or disk is full" in str(error.orig)
    return isinstance(error, OSError) and error.errno == errno.ENOSPC


def _abort(context: grpc.ServicerContext, failure: ServiceError, request_id: str) -> None:
    """Ends the request with a ``google.rpc.Status``; raises grpc's bare Exception."""
    status = rpc_status.to_status(_status(failure))
    # Not abort_with_status, which would drop the request's id from the metadata.
    context.set_trailing_metadata((*status.trailing_metadata, (REQUEST_ID_HEADER, request_id)))
    context.abort(status.code, status.details)


def _status(failure: ServiceError) -> Status:
    status = Status(code=failure.reason.code.value[0], message=failure.message)
    for detail in _details(failure):
        status.details.add().Pack(detail)
    return status


def _details(failure: ServiceError) -> Iterator[Message]:
    yield ErrorInfo(reason=failure.reason.name, domain=DOMAIN, metadata=failure.metadata)
    if failure.field:
        violation = BadRequest.FieldViolation(
            field=failure.field, description=failure.message, reason=failure.reason.name
        )
        yield BadRequest(field_violations=[violation])
    if failure.retry_after_seconds is not None:
        delay = Duration()
        delay.FromNanoseconds(round(failure.retry_after_seconds * 1e9))
        yield RetryInfo(retry_delay=delay)
