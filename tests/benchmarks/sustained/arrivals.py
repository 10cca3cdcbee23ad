"""When what is due: a Poisson process, drawn beforehand."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Operation(StrEnum):
    """What clients ask for."""

    PREDICT = "prediction"
    ADD = "addition"
    ERASE = "erasure"


MIX = {Operation.PREDICT: 0.8, Operation.ADD: 0.1, Operation.ERASE: 0.1}
"""Shares of the calls; as many people leave as come."""


@dataclass(frozen=True)
class Segment:
    """So many calls a second, for so many seconds."""

    name: str
    rate: float
    seconds: float


def arrivals(segments: Sequence[Segment], seed: int) -> Iterator[tuple[float, Operation]]:
    """Seconds since the beginning, ascending, and what is due then."""
    rng = random.Random(seed)
    begins = 0.0
    for segment in segments:
        due, ends = begins, begins + segment.seconds
        while (due := due + rng.expovariate(segment.rate)) < ends:
            yield due, rng.choices(list(MIX), list(MIX.values()))[0]
        begins = ends
