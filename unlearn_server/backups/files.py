"""The three files of a backup."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from unlearn_server.errors import StartupError
from unlearn_server.log import notes

DATA, KEYS, MANIFEST = "data", "keys", "manifest.json"

FORMAT = 1
"""Counts up with what an older version would not understand."""


@dataclass(frozen=True)
class Manifest:
    """What a backup is of.

    Attributes:
        format: of these files.
        time: when it was made, RFC 3339.
        checkpoint: of the log, signed.
        sha256: of each file, in hex, by its name.
    """

    format: int
    time: str
    checkpoint: str
    sha256: Mapping[str, str]


def write_manifest(folder: Path, checkpoint: str) -> None:
    """Says of two files what they are; all three are on disk when this returns."""
    sha256 = {name: _digest(folder / name) for name in (DATA, KEYS)}
    time = datetime.now(UTC).isoformat()
    manifest = Manifest(FORMAT, time, checkpoint, sha256)
    path = folder / MANIFEST
    path.touch(0o600)
    path.write_text(json.dumps(asdict(manifest), indent=1))
    for name in (DATA, KEYS, MANIFEST):
        sync(folder / name)
    sync(folder)


def check(folder: Path, keys: Path) -> int:
    """Finds a backup's files whole; answers how many certificates its log had.

    Args:
        folder: with data and manifest.
        keys: the file with the keys, which may be elsewhere.

    Raises:
        StartupError: if one is missing, damaged or of another backup, or a newer version made it.
    """
    try:
        told = json.loads((folder / MANIFEST).read_bytes())
        if told["format"] > FORMAT:
            raise StartupError("BACKUP: was made by a newer version; restore it with that version")
        manifest = Manifest(**told)
        size, _ = notes.tree_of(manifest.checkpoint)
        data_sha256, keys_sha256 = (str(manifest.sha256[name]) for name in (DATA, KEYS))
    except OSError as error:
        raise StartupError(f"BACKUP: {MANIFEST} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StartupError(f"BACKUP: {MANIFEST} is damaged; take another backup") from error
    _check(folder / DATA, data_sha256)
    _check(keys, keys_sha256)
    return size


@contextmanager
def in_words(place: str) -> Iterator[None]:
    """Raises StartupError where a disk or a database fails, and says at which place."""
    try:
        yield
    except OSError as error:
        raise StartupError(f"{place}: cannot be written: {error.strerror}") from error
    except SQLAlchemyError as error:
        message = "a database cannot be read or written; see that disks are well and have room"
        raise StartupError(f"{place}: {message}") from error


def sync(path: Path) -> None:
    """Has a file, or the names in a folder, on disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(path: Path, expected: str) -> None:
    try:
        is_whole = _digest(path) == expected
    except OSError as error:
        raise StartupError(f"BACKUP: {path.name} cannot be read: {error.strerror}") from error
    if not is_whole:
        message = "is damaged, or of another backup; give the one that belongs to the manifest"
        raise StartupError(f"BACKUP: {path.name} {message}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
