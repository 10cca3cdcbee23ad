"""The peak of a mix of calls, then a long load below it, one far above it, and what comes after."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.clients import processes
from tests.benchmarks.sustained.answers import (
    OK,
    OVERLOADED,
    Answer,
    Latencies,
    between,
    codes,
    latencies,
)
from tests.benchmarks.sustained.arrivals import Segment
from tests.benchmarks.sustained.book import Book
from tests.benchmarks.sustained.load import PROCESSES, Load
from tests.benchmarks.sustained.memory import Sample, slope, watched
from tests.benchmarks.sustained.seconds import Second, seconds
from tests.faults.checker import Checked, Checker
from tests.faults.servers import Servers

PROMPT_SECONDS = 0.5
"""The server keeps up while 99 of 100 calls of each kind are answered within."""

STEP_SECONDS, FIRST_RATE, STEP = 10.0, 50.0, 1.2
BELOW, ABOVE = 0.8, 3.0
"""Times the peak."""


@dataclass(frozen=True)
class Step:
    """One rate that was tried, with the slowest of its operations' 99th percentiles."""

    rate: float
    p99: float
    codes: dict[str, int]
    drain_seconds: float

    @property
    def keeps_up(self) -> bool:
        return (
            self.codes.keys() == {OK}
            and self.p99 <= PROMPT_SECONDS
            and self.drain_seconds <= PROMPT_SECONDS
        )


@dataclass(frozen=True)
class Part:
    """One segment of the long load.

    Attributes:
        latencies: by operation, of calls that were answered OK.
        refused: of those that were told to come again.
        carried_out: of requests to forget, from their receipt.
        codes: how many calls were answered so.
        without_retry: refusals that did not say when to come again.
    """

    segment: Segment
    latencies: dict[str, Latencies]
    refused: dict[str, Latencies]
    carried_out: Latencies
    codes: dict[str, int]
    without_retry: int


@dataclass(frozen=True)
class Measured:
    """All on one database.

    Attributes:
        steps: on the way to the peak.
        peak: calls a second.
        parts: the long load.
        growth: of resident memory in the second half of its first part, bytes a second.
        course: second by second.
        memory: of the server, at seconds since the long load began.
        checked: what the checker compared and found.
        fsck: its findings.
    """

    steps: list[Step]
    peak: float
    parts: list[Part]
    growth: float
    course: list[Second]
    memory: list[Sample]
    checked: Checked
    fsck: str

    @property
    def mismatches(self) -> list[str]:
        return [*self.checked.mismatches, *filter(None, [self.fsck])]


def measure(folder: Path, minutes: float, options: Sequence[str] = ()) -> Measured:
    """Starts a server, on SQLite unless the options say otherwise, and loads it."""
    servers = Servers(folder, options)
    with servers.up(), processes(PROCESSES) as pool, watched(servers.pid) as memory:
        book = Book(servers.address)
        load = Load(servers.address, book, pool)
        steps = _climb(load)
        peak = steps[-2].rate
        segments = _segments(peak, minutes)
        answers = load.run(segments)
        load.drain()
        began, done = load.began, load.carried_out()
        samples = [Sample(at - began, size) for at, size in memory if at >= began]
        book.settle()
        checked = Checker(servers.address, book.told, servers.data_dir / "log").check()
    sustained = segments[0].seconds
    warm = [each for each in samples if sustained / 2 <= each.seconds < sustained]
    return Measured(
        steps=steps,
        peak=peak,
        parts=_parts(segments, answers, done),
        growth=slope(warm),
        course=seconds(answers, done),
        memory=samples,
        checked=checked,
        fsck=servers.fsck(),
    )


def _climb(load: Load) -> list[Step]:
    """Ever higher rates; the last is the first that the server does not keep up with."""
    load.run([Segment("none of them", FIRST_RATE, STEP_SECONDS)])  # starts processes
    steps: list[Step] = []
    rate = FIRST_RATE
    while not steps or steps[-1].keeps_up:
        answers = load.run([Segment("step", rate, STEP_SECONDS)])
        slowest = max(each.p99 for each in latencies(answers).values())
        steps.append(Step(rate, slowest, codes(answers), load.drain()))
        rate *= STEP
    if len(steps) == 1:
        raise RuntimeError(f"{FIRST_RATE:.0f} calls a second are too many: the machine is busy")
    return steps


def _segments(peak: float, minutes: float) -> list[Segment]:
    return [
        Segment("sustained", BELOW * peak, 60 * minutes),
        Segment("overload", ABOVE * peak, 12 * minutes),
        Segment("recovery", BELOW * peak, 6 * minutes),
    ]


def _parts(
    segments: Sequence[Segment], answers: Sequence[Answer], done: Sequence[tuple[float, float]]
) -> list[Part]:
    parts, begins = [], 0.0
    for segment in segments:
        ends = begins + segment.seconds
        due = between(answers, begins, ends)
        parts.append(
            Part(
                segment=segment,
                latencies=latencies(due),
                refused=latencies(due, OVERLOADED),
                carried_out=Latencies.of([end - at for at, end in done if begins <= at < ends]),
                codes=codes(due),
                without_retry=sum(each.code == OVERLOADED and not each.retry for each in due),
            )
        )
        begins = ends
    return parts
