"""Waiting for what takes long: an erasure, whatever happens to its stream, or a release."""

from collections.abc import Callable, Iterator
from time import monotonic, sleep

import grpc

from unlearn.v1.erasure_pb2 import Erasure
from unlearn_client.errors import UnlearnError

PATIENCE = 3600.0
"""Seconds to wait for an erasure, if the caller does not say."""

ENDED = frozenset(
    {
        Erasure.SUCCEEDED,
        Erasure.CANCELLED,
        Erasure.REFUSED,
        Erasure.NEEDS_OPERATOR,
        Erasure.HELD,
    }
)
"""States in which nothing more happens by itself; WatchErasure ends there."""

PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
"""Failures that say nothing about the erasure: ask again later."""

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0


def follow(
    watch: Callable[[], Iterator[Erasure]], poll: Callable[[], Erasure], *, patience: float
) -> Iterator[Erasure]:
    """The erasure at each change until it ends: watched, then polled if need be.

    Raises:
        UnlearnError: a failure that does not pass; DEADLINE_EXCEEDED after ``patience``.
    """
    gives_up_at = monotonic() + patience
    last: Erasure | None = None
    for latest in _answers(watch, poll, gives_up_at):
        if latest != last:
            yield latest
        if latest.state in ENDED:
            return
        last = latest
    raise UnlearnError(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        f"the erasure had not ended after {patience:g} s of waiting; it goes on by itself",
    )


def _answers(
    watch: Callable[[], Iterator[Erasure]], poll: Callable[[], Erasure], gives_up_at: float
) -> Iterator[Erasure]:
    yield from _until_it_breaks(watch)
    for _ in pauses(gives_up_at - monotonic()):
        yield from _until_it_breaks(lambda: iter([poll()]))


def pauses(patience: float) -> Iterator[None]:
    """Sleeps before each look, ever longer, until ``patience`` seconds are over."""
    gives_up_at = monotonic() + patience
    pause = FIRST_PAUSE
    while (left := gives_up_at - monotonic()) > 0:
        sleep(min(pause, left))
        yield
        pause = min(2 * pause, LONGEST_PAUSE)


def _until_it_breaks(source: Callable[[], Iterator[Erasure]]) -> Iterator[Erasure]:
    try:
        yield from source()
    except UnlearnError as error:
        if error.code not in PASSING:
            raise
