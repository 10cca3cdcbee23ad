"""One data directory, and the real servers that come and go on it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import grpc

from inference.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub
from unlearn.v1.audit_pb2_grpc import AuditServiceStub
from unlearn.v1.erasure_pb2_grpc import ErasureServiceStub
from unlearn.v1.model_pb2_grpc import ModelServiceStub

PATIENCE = 120.0

_RECONNECT = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),  # a connection for each client, as strangers have
]


class Stubs:
    """Every service at an address, over one channel that outlives its servers."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address, options=_RECONNECT)
        self.models = ModelServiceStub(self.channel)
        self.erasures = ErasureServiceStub(self.channel)
        self.audits = AuditServiceStub(self.channel)
        self.inference = GRPCInferenceServiceStub(self.channel)


class Servers:
    """Starts servers, one at a time, always at the same address.

    Attributes:
        data_dir: theirs.
        address: where gRPC answers.
        starts: how many there have been.
        pid: of the newest.
    """

    def __init__(self, directory: Path, options: Sequence[str] = ()) -> None:
        """Takes what else to tell ``serve``, such as where its database is."""
        self.data_dir = directory / "data"
        self.address = f"localhost:{_free_port()}"
        self.starts = 0
        self.pid = 0
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        """What the newest has written to standard error."""
        return self._log.read_text(errors="replace")

    @property
    def is_up(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Starts the next server; it may take a while to answer, or never do."""
        assert not self.is_up
        self.starts += 1
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(_command(), "serve", "--data-dir", str(self.data_dir)),
                    *("--address", self.address, "--metrics-address", "localhost:0"),
                    *self._options,
                ],
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
            )
        self.pid = self._process.pid

    def wait_until_it_serves(self) -> None:
        give_up = monotonic() + PATIENCE
        with grpc.insecure_channel(self.address, options=_RECONNECT) as channel:
            ready = grpc.channel_ready_future(channel)
            while monotonic() < give_up and self.is_up:
                try:
                    ready.result(timeout=0.2)
                except grpc.FutureTimeoutError:
                    continue
                return
        raise AssertionError(f"the server does not serve: {self.said[-5000:]}")

    def kill(self) -> None:
        """As a power cut would."""
        self._running.kill()
        self._running.wait(PATIENCE)

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self._running.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """The exit code; minus the signal's number for one that was killed."""
        return self._running.wait(PATIENCE)

    def fsck(self) -> str:
        """What is wrong with what they have stored; none may be up."""
        command = [_command(), "fsck", "--data-dir", str(self.data_dir), *self._options]
        done = subprocess.run(command, capture_output=True, text=True)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    @contextmanager
    def up(self, environment: Mapping[str, str] | None = None) -> Iterator[None]:
        """A server on what the others left, stopped at the end."""
        self.start(environment)
        try:
            self.wait_until_it_serves()
            yield
        finally:
            if self.is_up and (code := self.terminate()):
                raise AssertionError(f"it exited with {code}: {self.said[-5000:]}")

    def close(self) -> None:
        if self.is_up:
            self.kill()

    @property
    def _log(self) -> Path:
        return self._directory / f"server-{self.starts}.log"

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process


def wait_until(happened: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Waits for what will happen by itself."""
    give_up = monotonic() + patience
    while not happened():
        assert monotonic() < give_up, f"it did not happen: {what}"
        sleep(0.02)


def _command() -> str:
    return str(Path(sys.executable).parent / "unlearn-server")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
