"""Loads a server from processes of their own, and keeps the book."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import chain
from time import monotonic, sleep, time

from tests.benchmarks.sustained.answers import Answer
from tests.benchmarks.sustained.arrivals import Segment
from tests.benchmarks.sustained.book import Book
from tests.benchmarks.sustained.clients import send
from tests.faults.checker import pages
from tests.faults.servers import Stubs
from unlearn.v1.erasure_pb2 import Erasure, ListErasuresRequest

PROCESSES = 2
_HEAD_START = 3.0
"""Seconds that a process is given to get ready."""

_OPEN = (Erasure.PENDING, Erasure.RUNNING)
_PATIENCE = 300.0
_MOST_NEWCOMERS = 10**9


class Load:
    """Runs segments, one load after another.

    Attributes:
        began: the newest, by the wall clock, which the server's times are of.
    """

    def __init__(self, address: str, book: Book, pool: ProcessPoolExecutor) -> None:
        self._address = address
        self._erasures = Stubs(address).erasures
        self._book = book
        self._pool = pool
        self._seed = 0
        self.began = 0.0

    def run(self, segments: Sequence[Segment]) -> list[Answer]:
        """Every answer; what was acknowledged is in the book."""
        begin = monotonic() + _HEAD_START
        self.began = time() + _HEAD_START
        shares = [replace(segment, rate=segment.rate / PROCESSES) for segment in segments]
        people, newcomer = list(self._book.present), self._book.newcomer
        sending = [
            self._pool.submit(
                send,
                self._address,
                shares,
                self._seed + k,
                begin,
                people[k::PROCESSES],
                range(newcomer + k, newcomer + _MOST_NEWCOMERS, PROCESSES),
            )
            for k in range(PROCESSES)
        ]
        self._seed += PROCESSES
        answers = list(chain.from_iterable(future.result() for future in sending))
        self._book.enter(answers)
        return answers

    def drain(self) -> float:
        """Seconds until no request to forget is open."""
        request = ListErasuresRequest(page_size=1, states=_OPEN)
        began = monotonic()
        while self._erasures.ListErasures(request, timeout=_PATIENCE).erasures:
            sleep(0.01)
        return monotonic() - began

    def carried_out(self) -> list[tuple[float, float]]:
        """Of the newest load: when requests were received and carried out, seconds since."""
        request = ListErasuresRequest(page_size=200, states=[Erasure.SUCCEEDED])
        times = [
            (self._since(each.receive_time), self._since(each.complete_time))
            for page in pages(self._erasures.ListErasures, request)
            for each in page.erasures
        ]
        return [(received, done) for received, done in times if received >= 0]

    def _since(self, timestamp) -> float:
        return timestamp.ToNanoseconds() / 1e9 - self.began
