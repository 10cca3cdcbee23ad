"""Opens the database, brings its tables up to date, and gives out transactions.

SQLite is set up so that a commit is on disk (synchronous=FULL), readers never wait
(WAL), and what is deleted is overwritten with zeros (secure_delete). The write-ahead
log keeps old pages until it is truncated: call ``checkpoint`` after an erasure.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError, OperationalError

from unlearn_server.errors import StartupError
from unlearn_server.failpoints import Failpoint, reach

DATABASE_FILE = "unlearn.db"
"""What SQLite's is called in a server's data directory."""

MIGRATIONS = Path(__file__).parent / "migrations"

# Milliseconds that one waits for other processes or, at a checkpoint, for readers.
_WRITE_WAIT = 30_000
_CHECKPOINT_WAIT = 500

# A sample's row is some 2.7 KB: in pages of 8 KB most of each is used. The page size
# counts only before the file has a journal. The cache holds the indexes' pages that an
# insert touches, 32 MiB a connection at most; hashes fall on them at random, so a longer
# log (64 MiB) lets a checkpoint write each page once for several inserts.
_PRAGMAS = (
    "page_size = 8192",
    "cache_size = -32768",
    "wal_autocheckpoint = 8000",
    f"busy_timeout = {_WRITE_WAIT}",
    "journal_mode = WAL",
    "synchronous = FULL",
    "secure_delete = ON",
    "foreign_keys = ON",
)


class Database:
    """A database whose tables are up to date. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_sqlite = engine.dialect.name == "sqlite"
        # SQLite has one writer at a time. Threads that wait for a lock take turns; those
        # that poll a busy database may starve.
        self._turn = Lock() if self._is_sqlite else nullcontext()

    @classmethod
    def open(cls, url: str) -> "Database":
        """Connects to the database at an SQLAlchemy URL and migrates it.

        Raises:
            StartupError: if a newer server has written it, or it is no database.
        """
        database = cls(_engine(make_url(url)))
        try:
            with database.write() as connection:
                _migrate(connection)
        except OperationalError as error:
            message = "cannot be read or written now; see that its disk is well and has room"
            raise StartupError(f"the database: {message}") from error
        except DatabaseError as error:
            message = "cannot be opened as one of this server's; restore it from a backup"
            raise StartupError(f"the database: {message}") from error
        return database

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database throughout."""
        options: dict[str, Any] = {} if self._is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits at the end, or leaves nothing if it raises."""
        with (
            self._turn,
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    def checkpoint(self) -> bool:
        """Empties SQLite's write-ahead log, where the old contents of pages linger.

        Returns:
            Whether it is empty now; an open reader can prevent it, so try again then.
        """
        if not self._is_sqlite:
            return True
        with self._turn, closing(self._engine.raw_connection()) as connection:
            cursor = connection.cursor()
            reach(Failpoint.SHRED_BEGUN)
            # Not as long as a writer waits: nobody can write meanwhile.
            cursor.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_WAIT}")
            try:
                busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {_WRITE_WAIT}")
            reach(Failpoint.SHRED_DONE)
            return not busy

    def close(self) -> None:
        """Closes every connection that is not in use."""
        self._engine.dispose()


def _engine(url: URL) -> Engine:
    # Errors must not carry parameters: they are what the log may not hold.
    engine = create_engine(url, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        _create_private(Path(url.database or ""))
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create_private(path: Path) -> None:
    """Makes the file for its owner only; SQLite gives its log and index the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _configure_sqlite(connection: Any, _record: object) -> None:
    # Python's driver would begin transactions on its own, too late for a consistent read.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer that began as a reader could not become one if another was faster.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    _refuse_newer(connection, ScriptDirectory.from_config(config))
    command.upgrade(config, "head")


def _refuse_newer(connection: Connection, scripts: ScriptDirectory) -> None:
    known = {None, *(script.revision for script in scripts.walk_revisions())}
    if MigrationContext.configure(connection).get_current_revision() not in known:
        raise StartupError(
            "the database was written by a newer version; start that version, or restore a backup"
        )
