"""Makes a server of a backup, as if it had gone on: whoever was erased since is not in it.

All is done in a folder of its own in the data directory, and on SQLite. What is finished gets its
place file by file, the database last and the journal first: a server that is started on what an
interruption left finds a journal that knows more than its database, and refuses.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy import Connection

from unlearn_server import custody, signing
from unlearn_server.announcements import Announcements
from unlearn_server.backups import files, replaying
from unlearn_server.backups.copying import Progress, copy, is_empty
from unlearn_server.backups.history import History, since
from unlearn_server.backups.sources import Sources, join, open_secrets
from unlearn_server.certifying import Certifier
from unlearn_server.cores import CORES, library
from unlearn_server.data_directory import JOURNAL, LOG, locked
from unlearn_server.errors import StartupError
from unlearn_server.failpoints import Failpoint, reach
from unlearn_server.journal import Journal
from unlearn_server.keys import HASHING_FILE, KeyRing
from unlearn_server.ledger import log
from unlearn_server.ledger.database import DATABASE_FILE, Database, url_of
from unlearn_server.ledger.schema import DATA_TABLES, KEY_TABLES
from unlearn_server.log import merkle, notes
from unlearn_server.master_keys import MASTER_FILE, WRAPPED_FILE
from unlearn_server.metrics import LedgerSnapshot, Metrics
from unlearn_server.private_files import create_private
from unlearn_server.publishing import Publisher
from unlearn_server.releasing import Releaser
from unlearn_server.signing import SIGNING_FILE
from unlearn_server.workspace import Workspaces

_TABLES = (*DATA_TABLES, *KEY_TABLES)
_WORK = ".restoring"
_MAY_BE_THERE = {"lock", _WORK, MASTER_FILE, WRAPPED_FILE, CORES}


def restore(sources: Sources, data_dir: Path, database: str | None, progress: Progress) -> History:
    """Makes a server in a data directory that has nothing but the master key.

    Args:
        sources: what it is made of.
        data_dir: where.
        database: the URL of an empty database, for PostgreSQL.
        progress: told of the rows that are copied to PostgreSQL.

    Returns:
        What was replayed.

    Raises:
        StartupError: if a source cannot be used or does not fit the others, or there is something
            where the server is to be.
    """
    place = files.in_words("--data-dir or --database")
    with locked(data_dir, create=True), place, _workplace(data_dir) as work:
        size = files.check(sources.backup, sources.keys)
        keys = open_secrets(sources, data_dir, work)
        history = since(size, sources.journal, keys)
        join(sources, work / DATABASE_FILE)
        reach(Failpoint.RESTORE_JOINED)
        with _opened(f"sqlite:///{work / DATABASE_FILE}") as restored:
            touched = _replay(restored, keys, history, sources, work)
            reach(Failpoint.RESTORE_REPLAYED)
            _release(restored, keys, Workspaces(restored, library(data_dir, None)), touched)
            reach(Failpoint.RESTORE_RELEASED)
            _publish(restored, keys, sources.journal, work)
            if database is not None:
                _copy(restored, url_of(data_dir, database), progress)
        reach(Failpoint.RESTORE_COPIED)
        _move(work, data_dir, with_database=database is None)
    return history


@contextmanager
def _workplace(data_dir: Path) -> Iterator[Path]:
    """A folder to work in, which is gone afterwards."""
    if {path.name for path in data_dir.iterdir()} - _MAY_BE_THERE:
        raise StartupError(
            "--data-dir: is in use, or not empty; name one that holds nothing but "
            f"{MASTER_FILE} and {CORES}"
        )
    work = data_dir / _WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = Database.open(url, alone=True)
    try:
        yield database
    finally:
        database.close()


def _replay(
    database: Database, keys: KeyRing, history: History, sources: Sources, work: Path
) -> set[str]:
    """Brings rows and log to where the journal ends; the models to release."""
    key = signing.open_key(sources.signing_key or work / SIGNING_FILE, create=False)
    with database.write() as conn:
        custody.begin(conn, keys)
        custody.check(conn, keys)
        touched = replaying.replay(conn, history)
        replaying.ask_operator(conn, history)
        certifier = Certifier(key)
        certifier.open(conn, None)
        if history.leaves:
            certifier.adopt(conn, [each.leaf for each in history.leaves])
        tree = log.head(conn).frontier
        if (tree.size, tree.root) != history.tree:
            raise StartupError("the journal: is not of the backup's log; give that server's own")
        if sources.checkpoint:
            _check_shown(conn, sources.checkpoint)
    return touched


def _check_shown(conn: Connection, path: Path) -> None:
    """Refuses to go on with a history that is not the one that somebody saw."""
    try:
        note = path.read_text()
        size, root = notes.tree_of(note)
    except (OSError, ValueError) as error:
        raise StartupError("--checkpoint: is no checkpoint of a log; give its file") from error
    head = log.head(conn)
    if size > head.frontier.size:
        raise StartupError(
            f"the journal: ends after {head.frontier.size} certificates, and the checkpoint is of "
            f"{size}: erasures would be lost. Give the newest copy of the journal"
        )
    if merkle.frontier(size, log.nodes_of(conn)).root != root:
        raise StartupError("--checkpoint: is of another history than the journal; restore neither")


def _release(
    database: Database, keys: KeyRing, workspaces: Workspaces, model_ids: set[str]
) -> None:
    """Makes the releases that erasures made, of what remains; long solves are begun."""
    metrics = Metrics(lambda: LedgerSnapshot({}, None, {}, {}), lambda: True)
    releaser = Releaser(database, keys, workspaces, metrics, Announcements())
    for model_id in sorted(model_ids):
        releaser.create(model_id, str(uuid4()))


def _publish(database: Database, keys: KeyRing, journal: Path, work: Path) -> None:
    """Writes the log's files, and the journal, which goes on from where it was."""
    (work / JOURNAL.parent).mkdir(mode=0o700)
    create_private(work / JOURNAL, journal.read_bytes())
    kept = Journal(work / JOURNAL, keys)
    Publisher(database, work / LOG, Announcements(), kept.show).publish()


def _copy(source: Database, url: str, progress: Progress) -> None:
    with _opened(url) as database, source.read() as conn, database.write() as target:
        if not is_empty(target, _TABLES):
            raise StartupError("--database: is not empty; name one that was just created")
        copy(conn, target, _TABLES, progress)
        _count_on(target)


def _count_on(conn: Connection) -> None:
    """Has PostgreSQL number new rows after those that came with their numbers."""
    for table in _TABLES:
        column = table.autoincrement_column
        if column is not None:
            newest = sa.select(sa.func.max(column)).scalar_subquery()
            sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
            conn.execute(sa.select(sa.func.setval(sequence, newest)).where(newest.is_not(None)))


def _move(work: Path, data_dir: Path, *, with_database: bool) -> None:
    names = [JOURNAL.parent.name, LOG, HASHING_FILE, SIGNING_FILE]
    for name in [*names, DATABASE_FILE] if with_database else names:
        if (work / name).exists():
            files.sync(work / name)
            (work / name).rename(data_dir / name)
            reach(Failpoint.RESTORE_MOVED)
    files.sync(data_dir)
