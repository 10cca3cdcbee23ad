"""``unlearn witness``: a real one over HTTP, killed as a power cut would."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.unlearn_client.verification.logs import SignedLog
from tests.unlearn_client.witness.conftest import NAME
from unlearn_client.verification import Witness, read_checkpoint


class Process:
    """A real ``unlearn witness``."""

    def __init__(self, folder: Path, log: SignedLog) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", "from unlearn_client.cli import main; main()"),
                *("--json", "witness", "--name", NAME, "--listen", "127.0.0.1:0"),
                *("--state", str(folder / "state"), "--key", str(folder / "key")),
                *("--log", log.key.verifier_key()),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started = json.loads(self._process.stdout.readline())
        self.verifier_key, self._port = started["verifierKey"], started["port"]

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str):
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.status, response.getheader("Content-Type"), response.read()
        connection.close()
        return answer

    def end(self, how: signal.Signals) -> int:
        self._process.send_signal(how)
        self._process.stdout.close()
        return self._process.wait(30)


@pytest.fixture
def start(tmp_path: Path, log) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []

    def start() -> Process:
        started.append(Process(tmp_path, log))
        return started[-1]

    yield start
    for each in started:
        if each._process.poll() is None:
            each.end(signal.SIGKILL)


def test_it_goes_on_after_a_kill_where_it_was(start, log, request_of):
    signed, size, keys = 0, 1, set()
    for _ in range(3):
        witness = start()
        keys.add(witness.verifier_key)
        for _ in range(2):
            status, _, body = witness.ask("POST", "/add-checkpoint", request_of(log, signed, size))
            assert status == 200
            note = read_checkpoint(log.checkpoint(size) + body)
            assert Witness.read(witness.verifier_key).time_of(note)
            signed, size = size, size + 1
        witness.end(signal.SIGKILL)
    witness = start()
    answer = witness.ask("POST", "/add-checkpoint", request_of(log, 0, 6))
    assert answer == (409, "text/x.tlog.size", b"6\n")
    assert len(keys) == 1
    assert witness.end(signal.SIGTERM) == 0


def test_what_it_answers_to_other_requests(start, log, request_of):
    witness = start()
    shown = f"/{sha256(log.origin.encode()).hexdigest()}/checkpoint"
    body = request_of(log, 0, 2)
    assert witness.ask("GET", shown)[0] == 404
    assert witness.ask("POST", "/other", body)[0] == 404
    for header, value, status in (
        ("Transfer-Encoding", "chunked", 411),
        ("Content-Length", "-1", 411),
        ("Content-Length", "999999999", 413),
    ):
        answer = witness.ask("POST", "/add-checkpoint", None, **{header: value})
        assert answer[0] == status
    assert witness.ask("PUT", "/add-checkpoint", body)[0] == 501
    assert witness.ask("GET", "/../state")[0] == 404
    assert witness.ask("POST", "/add-checkpoint", b"nonsense")[0] == 400
    assert witness.ask("POST", "/add-checkpoint", body)[0] == 200
    status, _, note = witness.ask("GET", shown)
    assert status == 200
    assert Witness.read(witness.verifier_key).time_of(read_checkpoint(note))


def test_connections_are_kept(start, log, request_of):
    connection = HTTPConnection("127.0.0.1", start()._port, timeout=30)
    sockets = set()
    for old, size in ((0, 1), (1, 2), (9, 2), (2, 3)):
        connection.request(
            "POST", "/add-checkpoint", request_of(log, old, size) if old < 9 else b""
        )
        connection.getresponse().read()
        sockets.add(connection.sock)
    connection.close()
    assert len(sockets) == 1
