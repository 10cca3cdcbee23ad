"""Medians, because the machine is shared; what is compared is run in turn."""

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any


def seconds(work: Callable[[], Any]) -> float:
    """The duration of one call."""
    started = perf_counter()
    work()
    return perf_counter() - started


def medians(runs: int, **rivals: Callable[[], Any]) -> dict[str, float]:
    """Median seconds of each, called in turn, after one round that does not count."""
    rounds = [{name: seconds(work) for name, work in rivals.items()} for _ in range(runs + 1)]
    return {name: median(times[name] for times in rounds[1:]) for name in rivals}
