"""A process's memory, once a second."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from time import time
from typing import NamedTuple

import numpy as np

from tests.benchmarks.process_memory import resident_bytes


class Sample(NamedTuple):
    """Resident memory at a time of the wall clock."""

    seconds: float
    size: int


@contextmanager
def watched(pid: int) -> Iterator[list[Sample]]:
    """Fills a list while the context lasts."""
    samples: list[Sample] = []
    over = Event()

    def watch() -> None:
        while not over.wait(1.0):
            samples.append(Sample(time(), resident_bytes(pid)))

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


def slope(samples: Sequence[Sample]) -> float:
    """Bytes a second, by least squares."""
    seconds, sizes = np.transpose([(each.seconds, each.size) for each in samples])
    return float(np.polyfit(seconds - seconds[0], sizes, 1)[0])
