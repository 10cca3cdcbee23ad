"""The register: every row that a report's numbers come from, in columns of text."""

from collections.abc import Sequence

from unlearn_server.domain import ErasureState
from unlearn_server.reports import summary, words
from unlearn_server.reports.report import Closed

HEAD = ("Cert.", "Erasure", "Model", "Method", "Closed", "Left", "Erased", "Nats", "")
ALIGNED = "rlrllrrrl"
"""Of each column: r for right, l for left."""


def models(closed: Sequence[Closed]) -> dict[str, int]:
    """A number for each model, from 1, by which the register's rows call it."""
    names = sorted({each.model_id for each in closed if each.model_id is not None})
    return {name: number for number, name in enumerate(names, 1)}


def rows(closed: Sequence[Closed]) -> list[tuple[str, ...]]:
    """The cells of each row."""
    numbers = models(closed)
    return [_cells(each, numbers) for each in closed]


def _cells(each: Closed, numbers: dict[str, int]) -> tuple[str, ...]:
    return (
        words.NONE if each.certificate is None else str(each.certificate),
        each.request_id,
        words.NONE if each.model_id is None else str(numbers[each.model_id]),
        words.NONE if each.method is None else each.method.name,
        words.date(each.close_time),
        words.days_left(summary.days(each.due_time - each.close_time)),
        str(each.erased_samples),
        words.NONE if each.bound is None else words.bound(each.bound.nats),
        _remark(each),
    )


def _remark(each: Closed) -> str:
    if each.is_late:
        return "late"
    if each.state is not ErasureState.SUCCEEDED:
        return each.state.lower()
    return "no match" if each.bound is None else ""
