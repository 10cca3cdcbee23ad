"""Who is at a PostgreSQL database: servers together, or one command alone.

Each holds a lock, shared or for itself, on one connection for as long as it runs. PostgreSQL
frees it with that connection, however it ends.

Who lost the connection may not know it yet. Each of its write transactions first takes the
writers' turn (``postgresql.take_turn``) and then looks whether the lock is still its own. A
command takes a turn before it reads anything. So what a server commits is either seen by the
next command, or refused: there is no time between in which both write.
"""

from uuid import uuid4

from sqlalchemy import Connection, Engine, text

from unlearn_server.errors import StartupError, TakenOverError
from unlearn_server.ledger.postgresql import LOCKS, TENANT

CHANNEL = "unlearn"
"""Where writers tell other servers, by LISTEN and NOTIFY, that something has changed."""

_LOCK = {"locks": LOCKS, "tenant": TENANT}
_TAKE = {
    True: text("SELECT pg_try_advisory_lock(:locks, :tenant)"),
    False: text("SELECT pg_try_advisory_lock_shared(:locks, :tenant)"),
}
_TAKE_FOR_TRANSACTION = text("SELECT pg_try_advisory_xact_lock(:locks, :tenant)")
_SELF = text("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
# One round trip for all three. With its start, since a number of a process comes back.
_CHECK = text(
    "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE locktype = 'advisory' AND classid = :locks AND objid = :tenant "
    "AND granted AND pid = :pid AND backend_start = :backend_start) AS is_here, "
    "(SELECT fence FROM leases) AS fence, pg_notify(:channel, :sender)"
)


class Tenure:
    """Is at the database until closed or lost.

    Attributes:
        connection: that holds the lock, for one thread at a time; commits each statement.
        sender: by which its own news are known.
    """

    def __init__(self, engine: Engine, *, alone: bool) -> None:
        """Comes to the database.

        Raises:
            StartupError: if somebody is there that it cannot be with.
        """
        self.sender = uuid4().hex
        self.connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if not self.connection.scalar(_TAKE[alone], _LOCK):
            self.close()
            what = "a server" if alone else "a command that works on it alone"
            raise StartupError(f"--database: is in use by {what}; stop that one, or name another")
        self._check = self.connection.execute(_SELF).one()._asdict() | _LOCK
        self._check |= {"channel": CHANNEL, "sender": self.sender}

    def check(self, connection: Connection, fence: int | None) -> None:
        """Looks, in a writer's turn, whether it may still write; others are told if it commits.

        Args:
            connection: of the transaction.
            fence: the lease's number that what is written rests on; None if on none.

        Raises:
            ConnectionError: if it is not at the database any more.
            TakenOverError: if the lease has another number by now.
        """
        found = connection.execute(_CHECK, self._check).one()
        if not found.is_here:
            raise ConnectionError("the database is not this server's any more; start it again")
        if fence is not None and fence != found.fence:
            raise TakenOverError

    def close(self) -> None:
        """Leaves."""
        # Not back into the pool: the lock ends with the connection.
        self.connection.invalidate()
        self.connection.close()


def is_deserted(connection: Connection) -> bool:
    """Whether nobody is at the database; nobody comes to it until the transaction ends."""
    return bool(connection.scalar(_TAKE_FOR_TRANSACTION, _LOCK))
