"""Kronfluence in a process of its own, which computes when it is told to."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.benchmarks.data import Data

FOLDER = Path(sys.prefix) / "kronfluence"
"""Where `make bench-derivative` installs it."""

INSTALL = "make .venv/kronfluence"


@contextmanager
def ekfac(data: Data, W: np.ndarray) -> Iterator[Callable[[], None]]:
    """Work that computes the influence of all rows under weights W (d, C)."""
    with TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.npz"
        np.savez(rows, psi=data.rows.astype(np.float32), t=data.targets, W=W)
        process = subprocess.Popen(
            [sys.executable, "-Wignore", Path(__file__).with_name("ekfac.py"), rows],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(FOLDER)},
        )
        with process:
            yield lambda: _ask(process, len(data.psi))


def _ask(process: subprocess.Popen[str], n: int) -> None:
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == f"{n}\n"
