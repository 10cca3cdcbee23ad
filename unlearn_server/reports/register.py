"""The register: every row that a report's numbers come from, in columns of text."""

from collections.abc import Sequence
from typing import overload

from unlearn_server.domain import ErasureState, Method
from unlearn_server.reports import summary, words
from unlearn_server.reports.report import Closed

HEAD = ("Cert.", "Erasure", "No.", "Closed", "Left", "Erased", "Nats", "Note")
ALIGNED = "rlrlrrrl"
"""Of each column: r for right, l for left."""

NOTE = (
    "A row for each outcome of a request that was closed in the period, and for each such request "
    "without one. Cert. is the certificate's index in the log, No. the row of section 3 that says "
    "which model and method, Left the days that were left until the request was due. Notes: late, "
    "carried out after it was due; none, nothing to erase was found; canc, cancelled; ref, refused."
)
"""What the columns hold."""

_NOTES = {ErasureState.CANCELLED: "canc", ErasureState.REFUSED: "ref"}


class Rows(Sequence[tuple[str, ...]]):
    """The cells of each row, made when they are asked for: there may be very many."""

    def __init__(self, closed: Sequence[Closed]) -> None:
        self._closed = closed
        self._numbers = numbers(closed)

    def __len__(self) -> int:
        return len(self._closed)

    @overload
    def __getitem__(self, index: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[str, ...]]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, ...] | list[tuple[str, ...]]:
        if isinstance(index, slice):
            return [self._cells(each) for each in self._closed[index]]
        return self._cells(self._closed[index])

    def _cells(self, each: Closed) -> tuple[str, ...]:
        return (
            words.NONE if each.certificate is None else str(each.certificate),
            each.request_id,
            words.NONE if each.kind is None else str(self._numbers[each.kind]),
            words.date(each.close_time),
            words.days_left(summary.days(each.due_time - each.close_time)),
            str(each.erased_samples),
            words.NONE if each.bound is None else words.bound(each.bound.nats),
            _note(each),
        )


def numbers(closed: Sequence[Closed]) -> dict[tuple[str, Method], int]:
    """A number for each model and method, from 1, by which the register's rows call them."""
    return {(each.model_id, each.method): i for i, each in enumerate(summary.effects(closed), 1)}


def _note(each: Closed) -> str:
    if each.is_late:
        return "late"
    if each.state in _NOTES:
        return _NOTES[each.state]
    return "none" if each.bound is None else ""
