"""What became of each call."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tests.benchmarks.sustained.arrivals import Operation
from unlearn.v1.erasure_pb2 import CreateErasureRequest

OK, OVERLOADED = "OK", "RESOURCE_EXHAUSTED"


class Answer(NamedTuple):
    """One call.

    Attributes:
        due, answered: seconds since the load began.
        code: gRPC's name of it; ``STALE`` for an older release than one that was seen before.
        retry: whether it said when to come again.
        person: who was to be added or erased.
        request: of an erasure.
    """

    operation: Operation
    due: float
    answered: float
    code: str
    retry: bool = False
    person: int | None = None
    request: CreateErasureRequest | None = None

    @property
    def seconds(self) -> float:
        return self.answered - self.due


@dataclass(frozen=True)
class Latencies:
    """Seconds of calls from when they were due, by percentile."""

    calls: int
    p50: float
    p90: float
    p99: float
    longest: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latencies":
        """Of at least one call."""
        return cls(len(seconds), *map(float, np.percentile(seconds, (50, 90, 99, 100))))


def latencies(answers: Sequence[Answer], code: str = OK) -> dict[str, Latencies]:
    """By operation, of the calls that were answered so."""
    return {
        operation.value: Latencies.of(seconds)
        for operation in Operation
        if (seconds := [a.seconds for a in answers if (a.operation, a.code) == (operation, code)])
    }


def codes(answers: Sequence[Answer]) -> dict[str, int]:
    return dict(Counter(answer.code for answer in answers))


def between(answers: Sequence[Answer], begins: float, ends: float) -> list[Answer]:
    """Those that were due then."""
    return [answer for answer in answers if begins <= answer.due < ends]
