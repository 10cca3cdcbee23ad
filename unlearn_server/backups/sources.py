"""What a server is made of: data and keys, joined, and secrets that the master key opens."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from unlearn_server import master_keys
from unlearn_server.backups import files
from unlearn_server.domain import Sealed
from unlearn_server.errors import DecryptionError, StartupError
from unlearn_server.keys import HASHING_FILE, KeyRing
from unlearn_server.private_files import create_private


@dataclass(frozen=True)
class Sources:
    """What a server is made of.

    Attributes:
        backup: the folder with data and manifest.
        keys: the file of keys.
        journal: of the server that was backed up.
        checkpoint: a note that somebody was shown, if there is one to compare with.
        signing_key: the file of the key that signs; that of the backup if it is None.
        master_key: where the master key is; in a file in the data directory if it is None.
    """

    backup: Path
    keys: Path
    journal: Path
    checkpoint: Path | None
    signing_key: Path | None
    master_key: str | None


def open_secrets(sources: Sources, data_dir: Path, work: Path) -> KeyRing:
    """Writes what the server keeps in files; the keys that open its samples.

    Raises:
        StartupError: if the master key is not that of the backup, or cannot be had.
    """
    masters = master_keys.source(sources.master_key, data_dir)
    ring = KeyRing(masters, b"")
    columns = "name, payload, wrapped_key, master_id"
    with closing(sqlite3.connect(sources.keys)) as held:
        wrapped = held.execute(f"SELECT {columns} FROM secrets").fetchall()  # noqa: S608 # ours
    try:
        secrets = {name: ring.unseal(Sealed(*how), name.encode()) for name, *how in wrapped}
    except DecryptionError as error:
        message = "is not the master key that the backup was made under; give that one"
        raise StartupError(f"{masters.name}: {message}") from error
    for name, secret in secrets.items():
        create_private(work / name, secret)
    return KeyRing(masters, secrets[HASHING_FILE])


def join(sources: Sources, path: Path) -> None:
    """Puts the keys back beside what they open, in tables of the backup's own version."""
    shutil.copyfile(sources.backup / files.DATA, path)
    path.chmod(0o600)
    with closing(sqlite3.connect(path)) as data, data:
        data.execute("ATTACH ? AS backup", (f"{sources.keys}",))
        tables = data.execute("SELECT name FROM backup.sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            if table != "secrets":
                data.execute(f'INSERT INTO main."{table}" SELECT * FROM backup."{table}"')  # noqa: S608 # a name of ours
