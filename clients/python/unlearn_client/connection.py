"""One channel: its limits, its deadlines, and what gRPC itself may retry."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self, TypeVar

import grpc
from google.protobuf.message import Message

from inference.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub
from unlearn.v1.audit_pb2_grpc import AuditServiceStub
from unlearn.v1.erasure_pb2_grpc import ErasureServiceStub
from unlearn.v1.model_pb2_grpc import ModelServiceStub
from unlearn.v1.valuation_pb2_grpc import ValuationServiceStub
from unlearn_client.errors import rpc_errors

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

MAX_MESSAGE_BYTES = 16 * 2**20
"""The server's limit for one message."""

MAX_ANSWER_BYTES = 512 * 2**20
"""Of what the server answers, a report is the largest: some 500 bytes an erasure."""

SAFE_METHODS = {
    "unlearn.v1.ModelService": ["GetModel", "ListModels", "GetRelease", "CreateRelease"],
    "unlearn.v1.ErasureService": [
        *("GetErasure", "ListErasures", "WatchErasure", "CreateErasure"),
        *("ExtendErasure", "RefuseErasure", "GetHold", "ListHolds", "LiftHold"),
        "PreviewErasure",
    ],
    "unlearn.v1.AuditService": [
        "AuditModel",
        "GetCertificate",
        "GetCheckpoint",
        "GetConsistencyProof",
        "GetReport",
        "ListCertificates",
    ],
    "unlearn.v1.ValuationService": ["DifferentiateDataset", "EstimateError"],
    "inference.GRPCInferenceService": ["ModelInfer"],
}
"""What may be sent twice: reads, and calls that change nothing the second time."""

# RESOURCE_EXHAUSTED is left out on purpose: a server that has too much to do gains
# nothing from being asked again at once.
RETRY_POLICY = {
    "maxAttempts": 4,
    "initialBackoff": "0.2s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


class Page(Protocol):
    """An AIP-158 answer, but for its items, whose field each list names differently."""

    @property
    def next_page_token(self) -> str:
        """Where the next page starts; empty after the last."""


AnyPage = TypeVar("AnyPage", bound=Page)


class Connection:
    """Owns the channel and its stubs; the parts of ``Client`` build on it."""

    def __init__(self, address: str, *, timeout: float = 30.0) -> None:
        self._timeout = timeout
        self._channel = grpc.insecure_channel(address, options=_channel_options())
        self._models = ModelServiceStub(self._channel)
        self._erasures = ErasureServiceStub(self._channel)
        self._audits = AuditServiceStub(self._channel)
        self._valuation = ValuationServiceStub(self._channel)
        self._inference = GRPCInferenceServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the channel; calls under way end with CANCELLED."""
        self._channel.close()

    def _call(
        self, method: "grpc.UnaryUnaryMultiCallable[Request, Response]", request: Request
    ) -> Response:
        """One call with a deadline.

        Raises:
            UnlearnError: the service refused it, or did not answer in time.
        """
        with rpc_errors():
            return method(request, timeout=self._timeout)


def pages(fetch: Callable[[str], AnyPage]) -> Iterator[AnyPage]:
    """All pages of a list, each fetched when it is needed."""
    token = ""
    while True:
        page = fetch(token)
        yield page
        token = page.next_page_token
        if not token:
            return


def _channel_options() -> list[tuple[str, Any]]:
    return [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
        # gRPC gives up retrying what outgrows this buffer, by default 256 KiB.
        ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE_BYTES),
        ("grpc.service_config", json.dumps(_service_config())),
    ]


def _service_config() -> dict[str, Any]:
    names = [
        {"service": service, "method": method}
        for service, methods in SAFE_METHODS.items()
        for method in methods
    ]
    return {"methodConfig": [{"name": names, "retryPolicy": RETRY_POLICY}]}
