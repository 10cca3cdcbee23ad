"""Says no to requests that would only wait: a queue without end helps nobody.

Who is refused is told when to come again, by a thread that does nothing else, so that the
refusal does not wait either.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeVar

from unlearn_server.errors import Reason, ServiceError

Answer = TypeVar("Answer")

_RETRY_SECONDS = 1.0


class Workers(ThreadPoolExecutor):
    """Threads that answer requests, and how many requests they have."""

    def __init__(self, threads: int, waiting: int) -> None:
        """Takes how many requests are answered at a time, and how many more may wait."""
        super().__init__(threads, thread_name_prefix="request")
        self._admitted = threads + waiting
        self._in_hand = 0
        self._lock = Lock()
        self.refusing = ThreadPoolExecutor(1, thread_name_prefix="refusal")

    @property
    def is_full(self) -> bool:
        """Whether one more request would wait too long."""
        return self._in_hand >= self._admitted

    def submit(self, fn: Callable[..., Answer], /, *args: Any, **kwargs: Any) -> "Future[Answer]":
        """Counts a request until it is answered, or given up by its caller."""
        with self._lock:
            self._in_hand += 1
        future = super().submit(fn, *args, **kwargs)
        future.add_done_callback(self._done)
        return future

    def refusal(self) -> ServiceError:
        """What one request too many is answered."""
        message = f"the server has {self._admitted} requests in hand; ask again later"
        return ServiceError(Reason.OVERLOADED, message, retry_after_seconds=_RETRY_SECONDS)

    def _done(self, _future: object) -> None:
        with self._lock:
            self._in_hand -= 1
