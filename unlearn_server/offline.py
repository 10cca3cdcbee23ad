"""Opens what a server keeps, for commands that work on it without one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unlearn_server.errors import StartupError
from unlearn_server.keys import KeyRing
from unlearn_server.ledger.database import DATABASE_FILE, Database


@contextmanager
def opened(data_dir: Path) -> Iterator[tuple[Database, KeyRing]]:
    """The database and the keys of a data directory.

    Raises:
        StartupError: if there is no database or key to read.
    """
    file = data_dir / DATABASE_FILE
    if not file.exists():
        raise StartupError("--data-dir: holds no database; name that of a server")
    keys = KeyRing.open(data_dir, create=False)
    database = Database.open(f"sqlite:///{file}")
    try:
        yield database, keys
    finally:
        database.close()
