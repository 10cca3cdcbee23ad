"""Which of several servers erases: the one that holds the lease, a row of the database.

The holder keeps in memory what the rows came to, and nobody else may add, erase or release
meanwhile. It counts the row's ``beat`` up, twice a second. Who sees neither beat nor fence
change for ``SECONDS`` takes the lease, under the next *fence*. No clocks are compared: each
server counts seconds on its own.

- What the holder writes names the fence that it held when it began. Whoever takes the lease
  waits for its turn as a writer. So a holder that was stopped and wakes up has written before
  the next one reads, or is refused: ``TakenOverError``.
- What the holder has in memory is the truth only for as long as nobody may have taken the
  lease: ``fence`` is None once its last beat is ``SECONDS`` old, as it would be for a holder
  that was stopped.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

import psycopg
from sqlalchemy import Engine, Row, TextClause, exc, text

from unlearn_server.ledger import postgresql
from unlearn_server.ledger.tenure import CHANNEL, Tenure

SECONDS = 3.0
"""How long a holder may be silent."""

_BEAT_SECONDS = 0.5
# It counts while the machine sleeps, too, where there is such a clock.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_LOOK = text("SELECT fence, beat, address FROM leases")
_BEAT = text("UPDATE leases SET beat = beat + 1 WHERE fence = :fence RETURNING address")
_TAKE = text(
    "UPDATE leases SET fence = fence + 1, beat = beat + 1, address = :address "
    "WHERE fence = :fence AND beat = :beat RETURNING fence"
)
_RESIGN = text(
    "UPDATE leases SET address = NULL WHERE fence = :fence RETURNING pg_notify(:channel, '')"
)
# From nobody: look who holds the lease.
_LOOK_NOW = text("SELECT pg_notify(:channel, '')")


def _now() -> float:
    return time.clock_gettime(_CLOCK)


class Lease:
    """Holds the lease whenever nobody else does, and listens to what the others change."""

    def __init__(
        self,
        engine: Engine,
        tenure: Tenure,
        address: str,
        news: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        """Takes the lease if it is free, or learns who holds it, which may take ``SECONDS``.

        Args:
            engine: of the database.
            tenure: of this server there; its connection is used here from now on.
            address: where the other servers reach this one.
            news: called when another server has changed something, and when this one gets the
                lease; from a thread of its own.
            lost: called when the connection was lost.
        """
        self._engine = engine
        self._tenure = tenure
        self._own_address = address
        self._news = news
        self._lost = lost
        self._fence: int | None = None
        self._valid_until = 0.0
        self._seen: tuple[int, int] | None = None
        self._seen_at = 0.0
        self._is_settled = False
        self._closing = Event()
        self.address: str | None = None
        self._start()

    @property
    def fence(self) -> int | None:
        """The number under which this server surely holds the lease now; None if it does not."""
        return self._fence if _now() < self._valid_until else None

    def close(self) -> None:
        """Gives the lease back, if it is held, for others to take at once."""
        self._closing.set()
        self._try(_LOOK_NOW, {"channel": CHANNEL})  # wakes the thread
        self._thread.join()
        if self._fence is not None:
            self._try(_RESIGN, {"fence": self._fence, "channel": CHANNEL})

    def _try(self, statement: TextClause, values: dict[str, str | int]) -> None:
        with suppress(exc.SQLAlchemyError), self._engine.begin() as connection:
            connection.execute(statement, values)

    def _start(self) -> None:
        # Nobody's disk needs to have seen a beat.
        self._tenure.connection.exec_driver_sql("SET synchronous_commit = off")
        self._tenure.connection.exec_driver_sql(f"LISTEN {CHANNEL}")
        self._look()
        while not self._is_settled:
            time.sleep(_BEAT_SECONDS)
            self._look()
        self._thread = Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._look()
                self._listen()
        except (exc.SQLAlchemyError, psycopg.Error):
            if not self._closing.is_set():
                self._lost()

    def _listen(self) -> None:
        """Passes on what comes until the next beat is due."""
        driver: psycopg.Connection = self._tenure.connection.connection.driver_connection  # type: ignore[assignment]
        for notice in driver.notifies(timeout=_BEAT_SECONDS):
            if notice.payload != self._tenure.sender:
                self._news()
            if self._closing.is_set() or not notice.payload:
                return

    def _look(self) -> None:
        if self._fence is None or not self._beat(self._fence):
            self._observe()

    def _beat(self, fence: int) -> bool:
        """Whether the lease is still held, which others see."""
        began = _now()
        if self._tenure.connection.execute(_BEAT, {"fence": fence}).one_or_none() is None:
            self._fence = None
            return False
        self._valid_until = began + SECONDS
        return True

    def _observe(self) -> None:
        """Looks for a sign of life of the holder, and takes the lease where there is none."""
        row = self._tenure.connection.execute(_LOOK).one()
        self.address = row.address
        is_silent = self._seen == (row.fence, row.beat)
        if row.address is None or (is_silent and _now() - self._seen_at > SECONDS):
            self._take(row)
        elif not is_silent:
            self._is_settled = self._seen is not None
            self._seen, self._seen_at = (row.fence, row.beat), _now()

    def _take(self, seen: Row[tuple[int, int, str | None]]) -> None:
        began = _now()
        try:
            fence = self._raise_fence(seen)
        except exc.TimeoutError:
            return  # every connection is in use; it is tried again at the next beat
        except exc.OperationalError as error:
            if isinstance(error.orig, psycopg.errors.LockNotAvailable):
                return  # somebody writes for long; likewise
            raise
        if fence is None:
            return
        self.address, self._seen, self._is_settled = self._own_address, None, True
        self._valid_until = began + SECONDS
        self._fence = fence
        self._news()

    def _raise_fence(self, seen: Row[tuple[int, int, str | None]]) -> int | None:
        """The lease's next number; None if the holder gave a sign of life meanwhile."""
        asked = {"fence": seen.fence, "beat": seen.beat, "address": self._own_address}
        with self._engine.begin() as connection:
            postgresql.take_turn(connection)
            fence: int | None = connection.scalar(_TAKE, asked)
            connection.execute(_LOOK_NOW, {"channel": CHANNEL})
        return fence
