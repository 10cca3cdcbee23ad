"""A real server process on a data directory; started again, it finds what it left."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from tests.benchmarks import THREAD_TIMEOUT
from tests.benchmarks.process_memory import peak_bytes

_LOOK_AGAIN_SECONDS = 0.02


@dataclass(frozen=True)
class Server:
    """One that answers."""

    address: str
    pid: int

    @property
    def peak_bytes(self) -> int:
        """The most memory it has had."""
        return peak_bytes(self.pid)


@contextmanager
def server(directory: Path, database: str | None = None) -> Iterator[Server]:
    """Serves from ``directory / "data"``, or a database at a URL; stopped by SIGTERM at the end."""
    command = Path(sys.executable).with_name("unlearn-server")
    log = directory / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [command, "serve", "--data-dir", directory / "data"],
            env=_environment(database),
            stderr=file,
        )
    try:
        yield Server(f"localhost:{_port(process, log)}", process.pid)
    except Exception as error:
        error.add_note("The server's log ends with:\n" + "\n".join(_last_lines(log)))
        raise
    finally:
        process.terminate()
        process.wait()


def _environment(database: str | None) -> dict[str, str]:
    """Ours, with free ports, and with the BLAS as users have it."""
    free = {"UNLEARN_ADDRESS": "localhost:0", "UNLEARN_METRICS_ADDRESS": "localhost:0"}
    where = {"UNLEARN_DATABASE": database} if database else {}
    dropped = {THREAD_TIMEOUT, "UNLEARN_DATABASE"}
    ours = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**ours, **free, **where}


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port in the log's ``serving`` line, once it is there."""
    while process.poll() is None:
        for line in log.read_text().splitlines():
            if '"serving"' in line and line.endswith("}"):
                return int(json.loads(line)["port"])
        sleep(_LOOK_AGAIN_SECONDS)
    raise RuntimeError("the server did not start")


def _last_lines(log: Path) -> list[str]:
    return log.read_text().splitlines()[-20:]
