"""Long lists of values, cut to what one statement may bind."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

BATCH = 1000
"""Values bound at once; SQLite and PostgreSQL both take more than thirty thousand."""


def batches(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values, in order, at most ``BATCH`` at a time."""
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]
