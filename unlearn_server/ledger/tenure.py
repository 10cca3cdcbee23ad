"""Whose a PostgreSQL database is: one process's at a time, until its connection ends.

A server keeps in memory what the rows came to, and two that erased at once would undo each
other's releases. So one connection holds a lock for as long as the server runs. PostgreSQL
frees it with that connection, however it ends, and the next server can start.

A server that lost the connection may not know it yet. Each of its write transactions first
takes the writers' turn (``postgresql.take_turn``) and then looks whether the lock is still
its own. The next server takes a turn before it reads anything. So what the old one commits
is either seen by the next, or refused: there is no time between in which both write.
"""

from collections.abc import Callable
from threading import Event, Thread

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from unlearn_server.errors import StartupError
from unlearn_server.ledger.postgresql import LOCKS, TENANT

_LOOK_SECONDS = 5.0
"""Between two looks at the connection: so long might a server answer from an old release."""

_LOCK = {"locks": LOCKS, "tenant": TENANT}
_TAKE = text("SELECT pg_try_advisory_lock(:locks, :tenant)")
_SELF = text("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
# With its start, since a number of a process comes back.
_IS_HELD = text(
    "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE locktype = 'advisory' AND classid = :locks AND objid = :tenant "
    "AND granted AND pid = :pid AND backend_start = :backend_start)"
)


class Tenure:
    """Holds the database for this process until closed or lost."""

    def __init__(self, engine: Engine, on_loss: Callable[[], None]) -> None:
        """Takes the database.

        Args:
            engine: connects to it.
            on_loss: called, perhaps more than once and from any thread, when it is ours no more.

        Raises:
            StartupError: if another process has it.
        """
        self._on_loss = on_loss
        self._closing = Event()
        self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if not self._connection.scalar(_TAKE, _LOCK):
            self._connection.close()
            raise StartupError(
                "--database: is in use by another server; stop that one, or name another"
            )
        self._holder = self._connection.execute(_SELF).one()._asdict() | _LOCK
        self._thread = Thread(target=self._look, name="tenure", daemon=True)
        self._thread.start()

    def check(self, connection: Connection) -> None:
        """Raises ConnectionError in a writer's transaction if the database is not ours now."""
        if not connection.scalar(_IS_HELD, self._holder):
            self.lose()
            raise ConnectionError("the database is not this server's any more; start it again")

    def lose(self) -> None:
        """Gives up what may be another's already, or what nobody knows the state of."""
        self._on_loss()

    def close(self) -> None:
        """Lets the next server have it."""
        self._closing.set()
        self._thread.join()
        # Not back into the pool: the lock ends with the connection.
        self._connection.invalidate()
        self._connection.close()

    def _look(self) -> None:
        while not self._closing.wait(_LOOK_SECONDS):
            try:
                self._connection.scalar(text("SELECT 1"))
            except DBAPIError:
                self.lose()
                return
