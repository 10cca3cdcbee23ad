"""Makes a backup beside a server that goes on: one moment of its database, in two files."""

import shutil
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from unlearn_server.backups import files
from unlearn_server.backups.copying import Progress, copy
from unlearn_server.errors import StartupError
from unlearn_server.failpoints import Failpoint, reach
from unlearn_server.keys import HASHING_FILE, KeyRing
from unlearn_server.ledger import key_ids, log
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.schema import DATA_TABLES, KEY_TABLES, metadata
from unlearn_server.private_files import read_private
from unlearn_server.signing import SIGNING_FILE

secrets = sa.Table(
    "secrets",
    sa.MetaData(),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
    sa.Column("master_id", sa.LargeBinary, nullable=False),
)
"""The server's own keys but the master key, which wraps these too; in the file of the keys."""


def backup(
    database: Database,
    keys: KeyRing,
    data_dir: Path,
    signing_key: Path,
    folder: Path,
    progress: Progress,
) -> None:
    """Makes a folder with a backup, whole or not at all.

    Args:
        database: the server's.
        keys: the server's.
        data_dir: where its secrets are.
        signing_key: the file of the key that signs, if it is in one.
        folder: to make.
        progress: told of the rows.

    Raises:
        StartupError: if the folder is there, or cannot be written; while the master key is being
            replaced.
    """
    if folder.exists():
        raise StartupError("DIR: is there already; name one to be made")
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    try:
        with files.in_words("DIR"):
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(mode=0o700)
            _write(database, keys, (data_dir / HASHING_FILE, signing_key), unfinished, progress)
            unfinished.rename(folder)
            files.sync(folder.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    reach(Failpoint.BACKUP_RENAMED)


def _write(
    database: Database,
    keys: KeyRing,
    own: tuple[Path, Path],
    folder: Path,
    progress: Progress,
) -> None:
    hashing, signing = own
    with database.read() as conn:
        if len(key_ids.masters(conn)) > 1:
            message = "is being replaced; let unlearn-server keys rotate-master finish first"
            raise StartupError(f"the master key: {message}")
        checkpoint = log.head(conn).checkpoint
        _write_data(conn, folder / files.DATA, progress)
        reach(Failpoint.BACKUP_DATA)
        named = {HASHING_FILE: hashing, SIGNING_FILE: signing}
        held = {name: read_private(path) for name, path in named.items() if path.exists()}
        _write_keys(conn, folder / files.KEYS, keys, held, progress)
        reach(Failpoint.BACKUP_KEYS)
    files.write_manifest(folder, checkpoint)
    reach(Failpoint.BACKUP_MANIFEST)


def _write_data(conn: Connection, path: Path, progress: Progress) -> None:
    data = Database.open(f"sqlite:///{path}")
    try:
        with data.write() as target:
            copy(conn, target, DATA_TABLES, progress)
    finally:
        data.close()


def _write_keys(
    conn: Connection, path: Path, keys: KeyRing, held: dict[str, bytes], progress: Progress
) -> None:
    path.touch(0o600)
    engine = sa.create_engine(f"sqlite:///{path}", hide_parameters=True)
    try:
        with engine.begin() as target:
            metadata.create_all(target, tables=KEY_TABLES)
            secrets.create(target)
            copy(conn, target, KEY_TABLES, progress)
            [master_id] = key_ids.masters(conn)
            for name, secret in held.items():
                sealed = keys.seal(secret, name.encode(), master_id)
                target.execute(sa.insert(secrets), {"name": name, **vars(sealed)})
    finally:
        engine.dispose()
