"""Faults of the storage: files that cannot grow, and system calls that fail as on a bad disk."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from errno import errorcode
from pathlib import Path
from time import sleep

from tests.faults.faults import Fault, after_answers, end
from tests.faults.servers import Servers, wait_until
from tests.faults.told import Told

_FAILED = ("disk I/O error", "disk is full", "Input/output error", "No space left on device")


def files_cannot_grow(answers: int = 60) -> Fault:
    """RLIMIT_FSIZE at what the files have now: writes beyond it fail; then it is lifted."""

    def happen(servers: Servers, told: Told) -> None:
        servers.start()
        servers.wait_until_it_serves()
        _, hard = resource.prlimit(servers.pid, resource.RLIMIT_FSIZE)
        largest = max(path.stat().st_size for path in servers.data_dir.glob("unlearn.db*"))
        resource.prlimit(servers.pid, resource.RLIMIT_FSIZE, (largest, hard))
        failures = told.retries + 20
        while told.retries < failures and not told.violations:
            sleep(0.01)
        resource.prlimit(servers.pid, resource.RLIMIT_FSIZE, (hard, hard))
        end(servers, told, answers)

    return Fault("files that cannot grow", happen)


class BadDisk:
    """Each so manieth ``call`` (``write``, ``fsync``) on a folder's files fails, while it is on."""

    def __init__(self, library: Path, call: str, error: int, every: int) -> None:
        """Takes ``disk.c`` compiled, beside which it can make a file."""
        self.kind = f"{call} fails with {errorcode[error]}"
        self._flag = library.with_suffix(".while")
        self._environment = {
            "LD_PRELOAD": str(library),
            "DISK_CALL": call,
            "DISK_ERRNO": str(error),
            "DISK_EVERY": str(every),
            "DISK_WHILE": str(self._flag),
        }

    def environment(self, folder: Path) -> dict[str, str]:
        """For the process that has the folder on this disk."""
        return {**self._environment, "DISK_UNDER": os.path.realpath(folder)}

    @contextmanager
    def on(self) -> Iterator[None]:
        self._flag.touch()
        try:
            yield
        finally:
            self._flag.unlink()


def on_a_bad_disk(disk: BadDisk, answers: int = 60) -> Fault:
    """The data directory is on it."""

    def happen(servers: Servers, told: Told) -> None:
        servers.start(disk.environment(servers.data_dir))
        servers.wait_until_it_serves()
        with disk.on():
            wait_until(lambda: any(words in servers.said for words in _FAILED), disk.kind)
            after_answers(told, answers)
        end(servers, told, answers)

    return Fault(disk.kind, happen)
