"""A server's data directory: one process at a time has it, until that ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unlearn_server.errors import StartupError

LOG = "log"
"""What the folder in it is called that strangers may read over HTTP."""


@contextmanager
def locked(data_dir: Path, *, create: bool) -> Iterator[None]:
    """Takes the directory; with ``create``, makes it if it is not there.

    Raises:
        StartupError: if it cannot be used, or is in use.
    """
    message = "--data-dir: is in use by another server; stop that one, or name another"
    with _held(data_dir, "lock", message, create=create):
        yield


@contextmanager
def rotating(data_dir: Path) -> Iterator[None]:
    """Takes the right to replace the directory's master key, beside a server.

    Raises:
        StartupError: if it cannot be used, or another process is at it.
    """
    message = "the master key is being replaced by another process; wait for that one"
    with _held(data_dir, "rotation", message, create=False):
        yield


@contextmanager
def _held(data_dir: Path, name: str, in_use: str, *, create: bool) -> Iterator[None]:
    try:
        if create:
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(data_dir / name, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartupError(f"--data-dir: cannot be used: {error.strerror}") from error
    try:
        _take(descriptor, in_use)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, in_use: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StartupError(in_use) from error
