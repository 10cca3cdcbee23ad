"""What a server passes on to another, beside callers who set no deadline, or leave."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import grpc
import pytest
from structlog.testing import capture_logs

from unlearn.v1.model_pb2 import CreateReleaseRequest, Release
from unlearn.v1.model_pb2_grpc import (
    ModelServiceServicer,
    ModelServiceStub,
    add_ModelServiceServicer_to_server,
)
from unlearn_server.forwarding import ForwardingInterceptor
from unlearn_server.interceptor import RequestInterceptor
from unlearn_server.metrics import LedgerSnapshot, Metrics
from unlearn_server.overload import Workers

PATIENCE = 10.0


class Holder(ModelServiceServicer):
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.told, self.left = Event(), Event(), Event()

    def CreateRelease(  # noqa: N802 # gRPC names its methods
        self, request: CreateReleaseRequest, context: grpc.ServicerContext
    ) -> Release:
        context.add_callback(self.left.set)
        self.asked.set()
        self.told.wait(PATIENCE)
        return Release(name=f"{request.model}/releases/1")


class Elsewhere:
    """A database whose lease another server holds."""

    fence = None

    def __init__(self, holder: str) -> None:
        self.holder = holder


@pytest.fixture
def holder() -> Holder:
    return Holder()


@pytest.fixture
def stub(holder: Holder) -> Iterator[ModelServiceStub]:
    """Asks a server that is not the holder."""
    there = grpc.server(ThreadPoolExecutor(2))
    add_ModelServiceServicer_to_server(holder, there)
    elsewhere = Elsewhere(f"127.0.0.1:{there.add_insecure_port('127.0.0.1:0')}")
    forwarding = ForwardingInterceptor(elsewhere)  # type: ignore[arg-type]
    workers = Workers(2, 2)
    metrics = Metrics(lambda: LedgerSnapshot({}, None, {}, {}))
    here = grpc.server(workers, interceptors=[RequestInterceptor(metrics, workers), forwarding])
    add_ModelServiceServicer_to_server(ModelServiceServicer(), here)
    port = here.add_insecure_port("127.0.0.1:0")
    there.start()
    here.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield ModelServiceStub(channel)
    holder.told.set()
    for server in (here, there):
        server.stop(PATIENCE).wait()
    forwarding.close()


@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_the_holders_answer_is_the_answer(
    holder: Holder, stub: ModelServiceStub, timeout: float | None
) -> None:
    holder.told.set()
    request = CreateReleaseRequest(model="models/m")
    assert stub.CreateRelease(request, timeout=timeout).name == "models/m/releases/1"


def test_who_leaves_is_no_failure_and_the_holder_is_told(
    holder: Holder, stub: ModelServiceStub
) -> None:
    with capture_logs() as lines:
        call = stub.CreateRelease.future(CreateReleaseRequest(model="models/m"))
        assert holder.asked.wait(PATIENCE)
        call.cancel()
        assert holder.left.wait(PATIENCE)
        holder.told.set()
        while not [line for line in lines if line["event"] == "request"]:
            assert not [line for line in lines if line["log_level"] == "error"]
    [line] = [line for line in lines if line["event"] == "request"]
    assert line["code"] == "CANCELLED"
