"""Medians of rivals that are called in turn, so that whatever else the machine does hits all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import NamedTuple

TURNS = 5
RUNS_A_TURN = 6
MOST_RUNS = TURNS * RUNS_A_TURN + 1
"""How often a rival is called in all, at most."""

LONG_SECONDS = 0.5
"""What takes longer runs once a turn."""

Work = Callable[[], object]


class Prepared(NamedTuple):
    """Work that something must be made ready for each time, which does not count."""

    prepare: Callable[[], Work]


Rival = Work | Prepared


@dataclass(frozen=True)
class Timed:
    """Median seconds of a number of runs, with the fastest and the slowest."""

    seconds: float
    runs: int
    fastest: float
    slowest: float

    @classmethod
    def of(cls, times: list[float]) -> "Timed":
        """Summarises the seconds of each run."""
        return cls(median(times), len(times), min(times), max(times))


def in_turn(rivals: Mapping[str, Rival], turns: int = TURNS) -> dict[str, Timed]:
    """Times each over several turns, after one run each that does not count."""
    is_long = {name: seconds(rival) > LONG_SECONDS for name, rival in rivals.items()}
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(turns):
        for name, rival in rivals.items():
            runs = 1 if is_long[name] else RUNS_A_TURN
            times[name] += [seconds(rival) for _ in range(runs)]
    return {name: Timed.of(all_times) for name, all_times in times.items()}


def seconds(rival: Rival) -> float:
    """The duration of one run."""
    work = rival.prepare() if isinstance(rival, Prepared) else rival
    started = perf_counter()
    work()
    return perf_counter() - started
