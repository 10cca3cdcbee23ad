"""The course of a load, second by second."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.sustained.answers import OK, Answer


@dataclass(frozen=True)
class Second:
    """What was due in one second.

    Attributes:
        second: since the load began.
        due, ok: calls, and how many were answered OK.
        p50, p99: seconds until any answer.
        waiting: calls without an answer at its end.
        open: requests to forget, received and not carried out at its end.
    """

    second: int
    due: int
    ok: int
    p50: float
    p99: float
    waiting: int
    open: int


def seconds(answers: Sequence[Answer], carried_out: Sequence[tuple[float, float]]) -> list[Second]:
    """All of them that had calls."""
    by_second: defaultdict[int, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_second[int(answer.due)].append(answer)
    waiting = _Between([(each.due, each.answered) for each in answers])
    is_open = _Between(carried_out)
    return [
        Second(
            second,
            due=len(due),
            ok=sum(each.code == OK for each in due),
            p50=float(np.percentile([each.seconds for each in due], 50)),
            p99=float(np.percentile([each.seconds for each in due], 99)),
            waiting=waiting.at(second + 1),
            open=is_open.at(second + 1),
        )
        for second, due in sorted(by_second.items())
    ]


class _Between:
    """Counts intervals that hold a moment."""

    def __init__(self, intervals: Sequence[tuple[float, float]]) -> None:
        pairs = np.array(intervals, np.float64).reshape(-1, 2)
        self._begins, self._ends = np.sort(pairs[:, 0]), np.sort(pairs[:, 1])

    def at(self, moment: float) -> int:
        begun, ended = (np.searchsorted(times, moment) for times in (self._begins, self._ends))
        return int(begun - ended)
