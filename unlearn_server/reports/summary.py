"""Counts and extremes of what a report lists. Nothing here reads anything else."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import isinf
from statistics import median

from unlearn_server.domain import ErasureState, Method
from unlearn_server.reports.report import Closed, Report
from unlearning.information import InformationBound


@dataclass(frozen=True)
class Requests:
    """How many requests came, and what became of them.

    ``open_at_start`` and ``received`` together are all others but the last three, which are
    parts of ``on_time`` and ``late``, and of ``open_at_end``.
    """

    open_at_start: int
    received: int
    on_time: int
    late: int
    cancelled: int
    refused: int
    open_at_end: int
    nothing_matched: int
    overdue: int
    held: int

    @property
    def carried_out(self) -> int:
        """Succeeded, whenever."""
        return self.on_time + self.late


@dataclass(frozen=True)
class Effect:
    """What was done to a model by a method: outcomes, and samples that they erased."""

    model_id: str
    method: Method
    outcomes: int
    erased_samples: int
    largest_nats: float


@dataclass(frozen=True)
class Extreme:
    """The largest value of a bound, and the first certificate that states it."""

    value: float
    certificate: int | None


def requests(report: Report) -> Requests:
    """Counts requests."""
    closed = each_request(report.closed)
    states = Counter(each.state for each in closed)
    late = sum(each.is_late for each in closed)
    return Requests(
        open_at_start=report.open_at_start,
        received=report.received,
        on_time=states[ErasureState.SUCCEEDED] - late,
        late=late,
        cancelled=states[ErasureState.CANCELLED],
        refused=states[ErasureState.REFUSED],
        open_at_end=len(report.open),
        nothing_matched=sum(
            each.state is ErasureState.SUCCEEDED and each.bound is None for each in closed
        ),
        overdue=sum(each.due_time < report.period.seen for each in report.open),
        held=sum(each.state is ErasureState.HELD for each in report.open),
    )


def each_request(closed: Sequence[Closed]) -> list[Closed]:
    """One row of each request."""
    return list({each.request_id: each for each in closed}.values())


def effects(closed: Sequence[Closed]) -> list[Effect]:
    """By model and method, in the order of their names."""
    groups: dict[tuple[str, Method], list[Closed]] = {}
    for each in closed:
        if each.kind is not None:
            groups.setdefault(each.kind, []).append(each)
    return [
        Effect(
            model_id,
            method,
            len(rows),
            sum(row.erased_samples for row in rows),
            max(row.bound.nats for row in rows if row.bound),
        )
        for (model_id, method), rows in sorted(groups.items())
    ]


def bounded(closed: Sequence[Closed]) -> Iterator[tuple[InformationBound, int | None]]:
    """The bounds of outcomes that erased something: there is something to be learnt."""
    for each in closed:
        if each.bound and each.erased_samples:
            yield each.bound, each.certificate


def largest(closed: Sequence[Closed], measure: str) -> Extreme | None:
    """The largest value of a bound's attribute; None if nothing was erased."""
    found: Extreme | None = None
    for bound, certificate in bounded(closed):
        value: float = getattr(bound, measure)
        if found is None or value > found.value:
            found = Extreme(value, certificate)
    return found


def assumptions(closed: Sequence[Closed]) -> dict[str, int]:
    """On how many bounds each assumption stands, in the order in which they come."""
    return Counter(words for bound, _ in bounded(closed) for words in bound.assumptions)


def unbounded(closed: Sequence[Closed]) -> int:
    """How many outcomes have no finite bound."""
    return sum(isinf(bound.nats) for bound, _ in bounded(closed))


def days_taken(closed: Sequence[Closed]) -> tuple[float, float, float] | None:
    """Shortest, median and longest from receipt to the last certificate."""
    taken = [days(each.close_time - each.receive_time) for each in _carried_out(closed)]
    return (min(taken), median(taken), max(taken)) if taken else None


def days_left(closed: Sequence[Closed]) -> list[float]:
    """Of each request that was carried out, days until it would have been due; late below 0."""
    return [days(each.due_time - each.close_time) for each in _carried_out(closed)]


def days(time: timedelta) -> float:
    """In days of 24 hours."""
    return time / timedelta(days=1)


def _carried_out(closed: Sequence[Closed]) -> Iterator[Closed]:
    return (each for each in each_request(closed) if each.state is ErasureState.SUCCEEDED)
