"""The engine's memory, as the kernel sees it: a life of a model in a process of its own."""

import subprocess
import sys

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.data import objective
from tests.benchmarks.process_memory import peak_bytes, resident_bytes
from unlearning.forgetting import MixedPrivacyModel

ROWS_AT_ONCE = 1024
ERASURES = 40
_LARGEST_FEATURE = 2**12
_WARM_WIDTH = 64


def measure(width: int, classes: int) -> float:
    """Peak of a life in units of width^2 float64, beyond what was resident before."""
    command = [sys.executable, "-m", "tests.benchmarks.memory", str(width), str(classes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout) / (8 * width**2)


def _extra_bytes(width: int, classes: int) -> int:
    # The libraries, their thread pools and what Python keeps are not the engine's memory.
    _live(np.random.default_rng(0), _WARM_WIDTH, classes)
    before = resident_bytes()
    _live(np.random.default_rng(0), width, classes)
    return peak_bytes() - before


def _live(rng: np.random.Generator, width: int, classes: int) -> None:
    """A fit of rows that come block by block, a release, erasures, rows that join, a release."""
    model = MixedPrivacyModel(objective(width, classes))
    first, labels = _block(rng, width, classes)
    is_core = np.zeros(len(labels), np.bool_)
    model.add(first, labels, is_core)
    for _ in range(2 * width // ROWS_AT_ONCE):
        model.add(*_block(rng, width, classes), is_core)
    model.solve()
    for i in range(ERASURES):
        model.erase(first[i : i + 1], labels[i : i + 1])
        model.solve()
    model.add(*_block(rng, width, classes), is_core)
    model.solve()


def _block(
    rng: np.random.Generator, width: int, classes: int
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    # Drawn on the lattice: rounding floats would take memory that is not the engine's.
    shape = (ROWS_AT_ONCE, width)
    psi = rng.integers(-_LARGEST_FEATURE, _LARGEST_FEATURE, shape, dtype=np.int16)
    return psi, rng.integers(0, classes, ROWS_AT_ONCE)


if __name__ == "__main__":
    sys.stdout.write(str(_extra_bytes(int(sys.argv[1]), int(sys.argv[2]))))
