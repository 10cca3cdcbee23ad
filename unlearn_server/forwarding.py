"""Passes on to the server that holds the lease what only that one can do.

It is the one with the state of every model in memory, and with the right to change it. All else
is done by whichever server is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any

import grpc
import structlog
from grpc_status import rpc_status

from unlearn_server.errors import TakenOverError
from unlearn_server.interceptor import LARGEST_MESSAGE, REQUEST_ID_HEADER, Handler
from unlearn_server.ledger.database import Database

_METHODS = frozenset(
    f"/unlearn.v1.ModelService/{name}" for name in ("AddSamples", "CreateRelease", "DeleteModel")
)
_FORWARDED_HEADER = "x-unlearn-forwarded"

_AGES = 1e9
"""Seconds; grpc says that more remain to a call that has no deadline, and cannot be told so."""


class ForwardingInterceptor(grpc.ServerInterceptor):
    """Answers with what the holder answers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._channels: dict[str, grpc.Channel] = {}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Gives grpc the handler it would have called, or one that passes the call on."""
        handler, method = continuation(handler_call_details), handler_call_details.method
        if handler is None or method not in _METHODS or self._database.fence is not None:
            return handler
        was_forwarded = any(
            name == _FORWARDED_HEADER for name, _ in handler_call_details.invocation_metadata or ()
        )
        streams = handler.request_streaming
        forward = partial(self._forward, method, streams, was_forwarded)
        if streams:
            return grpc.stream_unary_rpc_method_handler(forward)
        return grpc.unary_unary_rpc_method_handler(forward)

    def close(self) -> None:
        """Hangs up."""
        for channel in self._channels.values():
            channel.close()

    def _forward(
        self,
        method: str,
        streams: bool,
        was_forwarded: bool,
        request: Any,
        context: grpc.ServicerContext,
    ) -> bytes:
        """Passes on bytes as they are; raises TakenOverError where nobody is known to hold it."""
        address = self._database.holder
        if address is None or was_forwarded:
            raise TakenOverError
        request_id = structlog.contextvars.get_contextvars()["request_id"]
        channel = self._channel(address)
        remaining = context.time_remaining()
        call: Any = channel.stream_unary(method) if streams else channel.unary_unary(method)
        answer = call.future(
            request,
            timeout=remaining if remaining < _AGES else None,
            metadata=((REQUEST_ID_HEADER, request_id), (_FORWARDED_HEADER, "1")),
        )
        context.add_callback(answer.cancel)
        try:
            return bytes(answer.result())
        except grpc.RpcError as error:
            if rpc_status.from_call(answer) is None and error.code() is grpc.StatusCode.UNAVAILABLE:
                raise TakenOverError from error  # it is not there, rather than unwilling
            context.set_trailing_metadata(answer.trailing_metadata())
            context.abort(answer.code(), answer.details())

    def _channel(self, address: str) -> grpc.Channel:
        with self._lock:
            if address not in self._channels:
                options = [("grpc.max_send_message_length", 4 * LARGEST_MESSAGE)]
                self._channels[address] = grpc.insecure_channel(address, options)
            return self._channels[address]
