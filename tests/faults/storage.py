"""Faults of the storage: files that cannot grow, and system calls that fail as on a bad disk."""

import os
import resource
import shutil
import subprocess
from pathlib import Path
from time import sleep

from tests.faults.faults import Fault, after_answers, end
from tests.faults.servers import Servers
from tests.faults.told import Told

SHIM = Path(__file__).with_name("shim.c")
COMPILER = shutil.which("cc")

_FAILED = ("disk I/O error", "database or disk is full", "Input/output error", "STORAGE_FULL")


def files_cannot_grow(answers: int = 60) -> Fault:
    """RLIMIT_FSIZE at what the files have now: writes beyond it fail; then it is lifted."""

    def fault(servers: Servers, told: Told) -> None:
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

    return fault


def compiled(folder: Path) -> Path:
    """The shim that makes system calls fail; needs a C compiler."""
    library = folder / "shim.so"
    command = [str(COMPILER), "-shared", "-fPIC", "-O1", "-o", library, SHIM, "-ldl"]
    subprocess.run(command, check=True)
    return library


def failing(library: Path, call: str, error: int, every: int, answers: int = 60) -> Fault:
    """Each so manieth ``call`` (``write``, ``fsync``) on a file of the data directory fails."""

    def fault(servers: Servers, told: Told) -> None:
        flag = library.with_suffix(".while")
        servers.start(
            {
                "LD_PRELOAD": str(library),
                "SHIM_UNDER": os.path.realpath(servers.data_dir),
                "SHIM_CALL": call,
                "SHIM_ERRNO": str(error),
                "SHIM_EVERY": str(every),
                "SHIM_WHILE": str(flag),
            }
        )
        servers.wait_until_it_serves()
        flag.touch()
        after_answers(told, answers)
        flag.unlink()
        if not any(words in servers.said for words in _FAILED):
            told.violations.append(f"no {call} failed")
        end(servers, told, answers)

    return fault
