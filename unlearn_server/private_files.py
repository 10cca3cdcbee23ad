"""Files that hold a secret: whole or not there, and for their owner only."""

import os
from pathlib import Path

from unlearn_server.errors import StartupError


def create_private(path: Path, content: bytes) -> None:
    """Writes a secret, whole or not at all, that is on disk with its name when this returns."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    _sync_folder(path)


def read_private(path: Path) -> bytes:
    """A secret; raises StartupError if it cannot be read, or others may read or write it."""
    try:
        mode, content = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise StartupError(f"{path.name}: cannot be read; restore it from a backup") from error
    if mode & 0o077:
        raise StartupError(f"{path.name}: others may read or write it; chmod 600 it")
    return content


def overwrite(path: Path) -> None:
    """Puts zeros in place of a secret, as far as the file system writes where it wrote before."""
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())


def is_overwritten(path: Path) -> bool:
    """Whether ``overwrite`` has been there; raises as ``read_private``."""
    return not any(read_private(path))


def replace(path: Path, by: Path) -> None:
    """Puts one file in another's place; on disk when this returns."""
    by.replace(path)
    _sync_folder(path)


def _sync_folder(path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
