"""A server process of the demo's own, in a directory that does not outlive it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

START_SECONDS = 60.0
STOP_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.05


class ServerError(Exception):
    """The server did not start or did not end as it should."""


@contextmanager
def local_server() -> Iterator[str]:
    """Runs ``unlearn-server serve`` and yields its address; stopped by SIGTERM at the end.

    Raises:
        ServerError: it did not start, or did not end well; with the end of its log.
    """
    with TemporaryDirectory(prefix="unlearn-demo-") as directory:
        log = Path(directory) / "server.log"
        process = _start(Path(directory) / "data", log)
        try:
            yield f"localhost:{_port(process, log)}"
        finally:
            _stop(process)
        if process.returncode:
            raise ServerError(_words("ended badly", log))


def _start(data_dir: Path, log: Path) -> subprocess.Popen[bytes]:
    # Port 0 lets the system choose a free one, which the log then tells.
    command = [str(Path(sys.executable).with_name("unlearn-server")), "serve"]
    options = ["--data-dir", str(data_dir)]
    options += ["--address", "localhost:0", "--metrics-address", "localhost:0"]
    with log.open("wb") as file:
        try:
            return subprocess.Popen([*command, *options], stdout=file, stderr=file)  # noqa: S603 - our own
        except OSError as error:
            raise ServerError(f"cannot run {command[0]}: {error.strerror}") from error


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port in the log's ``serving`` line, once it is there."""
    gives_up_at = monotonic() + START_SECONDS
    while process.poll() is None and monotonic() < gives_up_at:
        for line in log.read_text().splitlines():
            if '"serving"' in line and line.endswith("}"):
                return int(json.loads(line)["port"])
        sleep(LOOK_AGAIN_SECONDS)
    raise ServerError(_words("did not start", log))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _words(what: str, log: Path) -> str:
    return "\n".join([f"the server {what}; its log ends with:", *log.read_text().splitlines()[-5:]])
