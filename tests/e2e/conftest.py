"""Servers, in this process and as real ones, and what tests ask of them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Protocol
from uuid import uuid4

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from inference.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub
from tests.e2e.truth import Truth
from unlearn.v1 import audit_pb2_grpc, erasure_pb2_grpc, model_pb2_grpc, valuation_pb2_grpc
from unlearn.v1.model_pb2 import Features, Sample
from unlearn_client import Client
from unlearn_server.app import Options, running

PATIENCE = 60.0
CLASSES = ["cat", "dog", "bird"]


@dataclass(frozen=True)
class Server:
    """A server that answers, and every way to ask it."""

    data_dir: Path
    port: int
    channel: grpc.Channel
    client: Client
    log_url: str
    models: model_pb2_grpc.ModelServiceStub = field(init=False)
    erasures: erasure_pb2_grpc.ErasureServiceStub = field(init=False)
    audits: audit_pb2_grpc.AuditServiceStub = field(init=False)
    valuation: valuation_pb2_grpc.ValuationServiceStub = field(init=False)
    inference: GRPCInferenceServiceStub = field(init=False)

    def __post_init__(self) -> None:
        for name, stub in {
            "models": model_pb2_grpc.ModelServiceStub,
            "erasures": erasure_pb2_grpc.ErasureServiceStub,
            "audits": audit_pb2_grpc.AuditServiceStub,
            "valuation": valuation_pb2_grpc.ValuationServiceStub,
            "inference": GRPCInferenceServiceStub,
        }.items():
            object.__setattr__(self, name, stub(self.channel))


@contextmanager
def _asking(data_dir: Path, port: int, metrics_port: int) -> Iterator[Server]:
    options = [("grpc.max_send_message_length", -1)]
    with (
        grpc.insecure_channel(f"localhost:{port}", options) as channel,
        Client(f"localhost:{port}", timeout=PATIENCE) as client,
    ):
        yield Server(data_dir, port, channel, client, f"http://localhost:{metrics_port}/log")


@contextmanager
def _open_server(
    data_dir: Path, database: str | None = None, master_key: str | None = None
) -> Iterator[Server]:
    options = Options(
        data_dir, "localhost:0", "localhost:0", database=database, master_key=master_key
    )
    with (
        running(options) as ports,
        _asking(data_dir, ports.port, ports.metrics_port) as server,
    ):
        yield server


OpenServer = Callable[..., AbstractContextManager[Server]]


@pytest.fixture(scope="session")
def open_server() -> OpenServer:
    """Opens a server in this process on a data directory, and on PostgreSQL where that is told."""
    return _open_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for a file's tests; each makes models of its own."""
    with _open_server(tmp_path_factory.mktemp("data")) as server:
        yield server


class Process:
    """A real ``unlearn-server serve``."""

    def __init__(
        self, data_dir: Path, log: Path, wrap: Sequence[str] = (), database: str | None = None
    ) -> None:
        self._data_dir = data_dir
        self._log = log
        command = str(Path(sys.executable).parent / "unlearn-server")
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [
                    *wrap,
                    *(command, "serve", "--data-dir", str(data_dir)),
                    *("--address", "localhost:0", "--metrics-address", "localhost:0"),
                ],
                stderr=stderr,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    **({"UNLEARN_DATABASE": database} if database else {}),
                },
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def said(self) -> str:
        """What it has written to its standard error so far."""
        return self._log.read_text()

    @property
    def is_over(self) -> bool:
        return self._process.poll() is not None

    def ports(self) -> tuple[int, int]:
        """Waits until it serves; where gRPC answers, and where metrics and log are."""
        give_up = monotonic() + PATIENCE
        while monotonic() < give_up and not self.is_over:
            for line in self.said.splitlines():
                if line.endswith("}") and json.loads(line)["event"] == "serving":
                    told = json.loads(line)
                    return int(told["port"]), int(told["metrics_port"])
            sleep(0.02)
        raise AssertionError(f"the server does not serve: {self.said}")

    @contextmanager
    def asked(self) -> Iterator[Server]:
        with _asking(self._data_dir, *self.ports()) as server:
            yield server

    def kill(self) -> None:
        """As the kernel or a power cut would."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.ask_to_stop()
        return self.wait()

    def ask_to_stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        return self._process.wait(PATIENCE)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts real servers, on tmp_path/data and SQLite unless told; kills those left at the end."""
    started: list[Process] = []

    def start(
        data_dir: Path | None = None, wrap: Sequence[str] = (), database: str | None = None
    ) -> Process:
        log = tmp_path / f"server-{len(started)}.log"
        started.append(Process(data_dir or tmp_path / "data", log, wrap, database))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@dataclass(frozen=True)
class Refusal:
    """What a failed call says, to people and to programs."""

    code: grpc.StatusCode
    message: str
    reason: str
    field: str
    metadata: dict[str, str]
    everything: str


@pytest.fixture(scope="session")
def refusal() -> Callable[..., Refusal]:
    """Calls, and answers how the call was refused."""

    def refusal(method: Callable[..., Any], request: object) -> Refusal:
        def call() -> None:
            answer = method(request, timeout=PATIENCE)
            if isinstance(answer, grpc.RpcContext):  # a stream fails when it is read
                list(answer)

        with pytest.raises(grpc.RpcError) as caught:
            call()
        error = caught.value
        info, bad = ErrorInfo(), BadRequest()
        status = rpc_status.from_call(error)
        for detail in status.details if status else ():
            detail.Unpack(info)
            detail.Unpack(bad)
        fields = [violation.field for violation in bad.field_violations]
        return Refusal(
            code=error.code(),
            message=error.details(),
            reason=info.reason,
            field=fields[0] if fields else "",
            metadata=dict(info.metadata),
            everything=f"{error.details()} {status} {error.trailing_metadata()}",
        )

    return refusal


@pytest.fixture
def fresh_id() -> Callable[[], str]:
    """Model ids that nobody has used."""
    return lambda: f"m{uuid4().hex[:20]}"


class MakeSample(Protocol):
    def __call__(self, sample_id: str, subject_id: str = ..., *, d: int = ...) -> Sample: ...


@pytest.fixture(scope="session")
def make_sample() -> MakeSample:
    """A sample of features that are random, but the id's own; one without a subject is CORE."""

    def make_sample(sample_id: str, subject_id: str = "", *, d: int = 3) -> Sample:
        rng = np.random.default_rng(list(sample_id.encode()))
        return Sample(
            sample_id=sample_id,
            subject_id=subject_id,
            features=Features(values=rng.normal(size=d).astype(np.float32)),
            label=int(rng.integers(len(CLASSES))),
            retention=Sample.USER if subject_id else Sample.CORE,
        )

    return make_sample


class Filled(Protocol):
    def __call__(
        self, samples: Iterable[Sample], *, release: bool = ..., minimum_cohort: int = ...
    ) -> str: ...


@pytest.fixture
def filled(server: Server, fresh_id: Callable[[], str]) -> Filled:
    """A new model on features:3 with these samples, released unless told; its id."""

    def filled(samples: Iterable[Sample], *, release: bool = True, minimum_cohort: int = 0) -> str:
        model_id = fresh_id()
        server.client.create_model(model_id, "features:3", CLASSES, minimum_cohort=minimum_cohort)
        server.client.add_samples(model_id, samples)
        if release:
            server.client.create_release(model_id)
        return model_id

    return filled


@pytest.fixture(scope="session")
def truth_of() -> type[Truth]:
    return Truth


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Waits for what will happen by itself."""

    def wait_until(happened: Callable[[], bool]) -> None:
        give_up = monotonic() + PATIENCE
        while not happened():
            assert monotonic() < give_up, "it did not happen"
            sleep(0.02)

    return wait_until
