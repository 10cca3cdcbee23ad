"""SQLite: a file for its owner only, durable, and without what was deleted.

A commit is on disk (synchronous=FULL), readers never wait (WAL), and what is deleted is
overwritten with zeros (secure_delete). The write-ahead log keeps old pages until it is
truncated.
"""

import os
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

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


def engine(url: URL) -> Engine:
    """Connects to a file, which is made if it is not there."""
    _create_private(Path(url.database or ""))
    # Errors must not carry parameters: they are what the log may not hold.
    engine = create_engine(url, hide_parameters=True)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def checkpoint(connection: Any) -> bool:
    """Empties the write-ahead log over a driver's connection; whether it is empty now."""
    cursor = connection.cursor()
    # Not as long as a writer waits: nobody can write meanwhile.
    cursor.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_WAIT}")
    try:
        busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        cursor.execute(f"PRAGMA busy_timeout = {_WRITE_WAIT}")
    return not busy


def _create_private(path: Path) -> None:
    """Makes the file for its owner only; SQLite gives its log and index the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _configure(connection: Any, _record: object) -> None:
    # Python's driver would begin transactions on its own, too late for a consistent read.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    # A writer that began as a reader could not become one if another was faster.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
