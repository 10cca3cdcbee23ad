"""Opens the database, brings its tables up to date, and gives out transactions.

**Writers take turns**, in SQLite because it has one at a time, in PostgreSQL by an advisory
lock that a write transaction takes first and its end frees. So each sees all that the ones
before it committed, and nothing changes under it. That is more than READ COMMITTED with
locked rows gives: a model could be deleted between two statements that accept an erasure in
it. It is as much as SERIALIZABLE gives, without transactions that must be run again, which
would have to undo what they did to the state in memory; without deadlocks; and keys grow in
the order of commits, which paging relies on. It costs little, because who writes much writes
together: one transaction accepts all waiting requests, and one carries them out. Readers wait
for nobody and see one moment.

**Old contents.** SQLite overwrites what is deleted, but its write-ahead log keeps old pages
until it is truncated: call ``checkpoint`` after an erasure. PostgreSQL keeps a deleted row in
its files until VACUUM frees the place and another row takes it, and for as long in its own log,
replicas and backups as these are kept. Of an erased sample that is ciphertext, whose key lies
there only wrapped under master.key, which is never in the database; keyed hashes; and the
weights, salts and commitments of old releases, in clear.

**A commit whose answer is lost** may have happened. Callers of the service ask again under
the same request id. The server itself could go on with an old release in memory: so it gives
the database up and starts again, from what is there.

**Several servers** may be at one PostgreSQL database (``tenure``). One of them erases
(``lease``).
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, OperationalError

from unlearn_server.errors import StartupError, TakenOverError
from unlearn_server.failpoints import Failpoint, reach
from unlearn_server.ledger import postgresql, sqlite
from unlearn_server.ledger.lease import Lease
from unlearn_server.ledger.tenure import Tenure, is_deserted

DATABASE_FILE = "unlearn.db"
"""What SQLite's is called in a server's data directory."""

MIGRATIONS = Path(__file__).parent / "migrations"


def url_of(data_dir: Path, database: str | None) -> str:
    """Where a server's database is: at a PostgreSQL URL, or the file in its data directory.

    Raises:
        StartupError: if that is no PostgreSQL URL; it is not repeated, for the password in it.
    """
    if database is None:
        return f"sqlite:///{data_dir / DATABASE_FILE}"
    try:
        is_postgresql = make_url(database).get_backend_name() == "postgresql"
    except (ArgumentError, ValueError):
        is_postgresql = False
    if not is_postgresql:
        raise StartupError(
            "--database: is no URL such as postgresql://USER@HOST/NAME; percent-encode what is "
            "special in a password, or leave the option out for SQLite"
        )
    return database


class Database:
    """A database whose tables are up to date. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_sqlite = engine.dialect.name == "sqlite"
        # Threads that wait for a lock take turns; those that poll a busy SQLite may starve.
        self._turn = Lock() if self._is_sqlite else nullcontext()
        self._tenure: Tenure | None = None
        self._lease: Lease | None = None
        self._lost: Callable[[], None] = lambda: None

    @classmethod
    def open(
        cls, url: str, *, alone: bool = False, server: Callable[[], None] | None = None
    ) -> "Database":
        """Connects to the database at an SQLAlchemy URL and migrates it.

        SQLite's file is guarded by its data directory's lock; of a PostgreSQL database it can be
        said who else may be at it:

        Args:
            url: of SQLite or PostgreSQL.
            alone: nobody; for commands.
            server: other servers; this is called, perhaps more than once and from any thread,
                when the database is lost. Whatever is written then raises ConnectionError.

        Raises:
            StartupError: if it cannot be reached or used, somebody is at it, or a newer server
                has written it.
        """
        database = cls(_engine(make_url(url)))
        try:
            database._migrate()
            if (alone or server) and not database._is_sqlite:
                database._tenure = Tenure(database._engine, alone=alone)
                database._lost = server or database._lost
                database._migrate()  # a newer server may have come first
        except DatabaseError as error:
            database.close()
            raise StartupError(f"the database: {database._trouble(error)}") from error
        except BaseException:
            database.close()
            raise
        return database

    def campaign(self, address: str, news: Callable[[], None]) -> None:
        """Holds the lease from now on whenever no other server does (see ``lease``).

        Args:
            address: where other servers reach this one.
            news: called when another server has changed something, or this one gets the lease.
        """
        if self._tenure:
            self._lease = Lease(self._engine, self._tenure, address, news, self._lost)

    @property
    def fence(self) -> int | None:
        """The lease's number if this server surely holds it now; 0 where there is no lease."""
        return self._lease.fence if self._lease else 0

    @property
    def holder(self) -> str | None:
        """Where the server is reached that holds the lease, as far as this one knows."""
        return self._lease.address if self._lease else None

    def hold(self) -> int:
        """``fence``; raises TakenOverError if another server holds the lease."""
        fence = self.fence
        if fence is None:
            raise TakenOverError
        return fence

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database throughout."""
        options: dict[str, Any] = {} if self._is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, fence: int | None = None) -> Iterator[Connection]:
        """A transaction that commits at the end, or leaves nothing if it raises.

        Args:
            fence: the lease's number that was held before anything was read on which this rests;
                None for what rests on nothing but what the transaction itself reads.

        Raises:
            TakenOverError: if the lease has another number.
        """
        is_done = False
        try:
            with (
                self._turn,
                self._engine.connect().execution_options(writes=True) as connection,
                connection.begin(),
            ):
                self._take_turn(connection, fence)
                yield connection
                is_done = True
        except DBAPIError as error:
            if self._tenure and is_done and error.connection_invalidated:
                self._lost()
            raise

    def _take_turn(self, connection: Connection, fence: int | None) -> None:
        if self._is_sqlite:
            return
        postgresql.take_turn(connection)
        if self._tenure:
            self._tenure.check(connection, fence)

    def checkpoint(self) -> bool:
        """Empties SQLite's write-ahead log, where the old contents of pages linger.

        Returns:
            Whether it is empty now; an open reader can prevent it, so try again then. Always
            for PostgreSQL, where there is nothing to do.
        """
        reach(Failpoint.SHRED_BEGUN)
        is_empty = True
        if self._is_sqlite:
            with self._turn, closing(self._engine.raw_connection()) as connection:
                is_empty = sqlite.checkpoint(connection)
        reach(Failpoint.SHRED_DONE)
        return is_empty

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.write() as conn:
            if _is_current(conn, ScriptDirectory.from_config(config)):
                return
            if not self._is_sqlite and not is_deserted(conn):
                raise StartupError(
                    "the database: must be migrated, and servers of an older version use it; "
                    "stop them first"
                )
            config.attributes["connection"] = conn
            command.upgrade(config, "head")

    def _trouble(self, error: DatabaseError) -> str:
        # Not in the driver's words: of a URL that has a slip in it they may quote the password.
        if self._is_sqlite and isinstance(error, OperationalError):
            return "cannot be read or written now; see that its disk is well and has room"
        if self._is_sqlite:
            return "cannot be opened as one of this server's; restore it from a backup"
        return "cannot be used; see that --database is right and what PostgreSQL's own log says"

    def close(self) -> None:
        """Closes every connection that is not in use, and lets others have the database."""
        if self._lease:
            self._lease.close()
        if self._tenure:
            self._tenure.close()
        self._engine.dispose()


def _engine(url: URL) -> Engine:
    return sqlite.engine(url) if url.get_backend_name() == "sqlite" else postgresql.engine(url)


def _is_current(connection: Connection, scripts: ScriptDirectory) -> bool:
    """Whether the tables are as this version has them; raises StartupError if they are newer."""
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision not in {None, *(script.revision for script in scripts.walk_revisions())}:
        raise StartupError(
            "the database was written by a newer version; start that version, or restore a backup"
        )
    return revision == scripts.get_current_head()
