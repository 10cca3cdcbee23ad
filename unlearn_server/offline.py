"""Opens what a server keeps, for commands that work on it without one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unlearn_server import custody
from unlearn_server.data_directory import locked
from unlearn_server.errors import StartupError
from unlearn_server.keys import KeyRing
from unlearn_server.ledger.database import DATABASE_FILE, Database, url_of


@contextmanager
def opened(
    data_dir: Path, database: str | None, master_key: str | None = None
) -> Iterator[tuple[Database, KeyRing]]:
    """The database and the keys of a server, which may go on meanwhile.

    Args:
        data_dir: where the keys are, and SQLite's file.
        database: the URL of PostgreSQL, if that is used.
        master_key: where the master key is, if not in the file that is its own.

    Raises:
        StartupError: if there is no database or key to read, or a key is not the database's.
    """
    with _opened(data_dir, database, master_key, alone=False) as both:
        yield both


@contextmanager
def taken(
    data_dir: Path, database: str | None, master_key: str | None = None
) -> Iterator[tuple[Database, KeyRing]]:
    """As ``opened``, but kept from any server meanwhile.

    Raises:
        StartupError: also if one is running.
    """
    with (
        locked(data_dir, create=False),
        _opened(data_dir, database, master_key, alone=True) as both,
    ):
        yield both


@contextmanager
def _opened(
    data_dir: Path, url: str | None, master_key: str | None, *, alone: bool
) -> Iterator[tuple[Database, KeyRing]]:
    if url is None and not (data_dir / DATABASE_FILE).exists():
        raise StartupError("--data-dir: holds no database; name that of a server")
    keys = KeyRing.open(data_dir, master_key, create=False)
    # Of a database that was lost meanwhile, each write says so.
    database = Database.open(url_of(data_dir, url), alone=alone)
    try:
        with database.read() as conn:
            custody.check(conn, keys)
        yield database, keys
    finally:
        database.close()
