"""The register: every row that a report's numbers come from, in columns of text."""

from collections.abc import Sequence
from typing import overload

from unlearn_server.domain import ErasureState, Method
from unlearn_server.reports import summary, words
from unlearn_server.reports.report import Closed

HEAD = ("Cert.", "Erasure", "No.", "Closed", "Left", "Erased", "Nats")
ALIGNED = "rlrlrrr"
"""Of each column: r for right, l for left."""

NOTE = (
    "A row for each outcome and each refusal of a request that was closed in the period, and one "
    "for each such request without any. Cert. is the certificate's index in the log, No. the row "
    "of section 3 that says which model and method, Left the days that were left until the request "
    "was due, below 0 if it was carried out late; canc stands for cancelled, ref for refused."
)
"""What the columns hold."""

_NOT_CARRIED_OUT = {ErasureState.CANCELLED: "canc", ErasureState.REFUSED: "ref"}


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
            _left(each),
            str(each.erased_samples),
            words.NONE if each.bound is None else words.bound(each.bound.nats),
        )


def numbers(closed: Sequence[Closed]) -> dict[tuple[str, Method], int]:
    """A number for each model and method, from 1, by which the register's rows call them."""
    return {(each.model_id, each.method): i for i, each in enumerate(summary.effects(closed), 1)}


def _left(each: Closed) -> str:
    left = words.days_left(summary.days(each.due_time - each.close_time))
    return _NOT_CARRIED_OUT.get(each.state, left)
