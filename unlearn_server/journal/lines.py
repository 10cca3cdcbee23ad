"""A file of lines that only grows, each authenticated together with all those before it.

A line is an HMAC in hex, a space, and a record in JSON. What a crash leaves of a line that was
not finished is no line.
"""

import json
import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unlearn_server.errors import StartupError
from unlearn_server.keys import KeyRing
from unlearn_server.private_files import create_private

Record = Mapping[str, Any]

_MAC_HEX = 64


class Lines:
    """Appends to a file, which is made if it is not there."""

    def __init__(self, path: Path, keys: KeyRing) -> None:
        """Looks for the end.

        Raises:
            StartupError: if the file cannot be used.
        """
        self._path = path
        self._keys = keys
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if not path.exists():
                create_private(path, b"")
            with _mapped(path) as content:
                self._end = content.rfind(b"\n") + 1
                last = next(_backwards(content, self._end), b"")
        except OSError as error:
            raise StartupError(f"the journal: cannot be used: {error.strerror}") from error
        self._mac = _split(last)[0] if last else b""

    def append(self, record: Record) -> None:
        """Adds a record; it is on disk when this returns, and not there if this raises OSError."""
        body = json.dumps(record, separators=(",", ":")).encode()
        mac = self._keys.authenticate(self._mac + body)
        line = mac.hex().encode() + b" " + body + b"\n"
        with self._path.open("r+b") as file:
            if file.seek(0, os.SEEK_END) < self._end:
                raise OSError("the journal: was cut; put the whole back, or start again")
            file.seek(self._end)
            file.truncate()  # what a failed write left
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._mac, self._end = mac, self._end + len(line)

    def backwards(self) -> Iterator[Record]:
        """The records, the newest first.

        Raises:
            StartupError: if one is not what was written.
        """
        with _mapped(self._path) as content:
            lines = _backwards(content, self._end)
            line = next(lines, b"")
            while line:
                before = next(lines, b"")
                yield _checked(line, _split(before)[0] if before else b"", self._keys)
                line = before


def read(path: Path, keys: KeyRing) -> Iterator[Record]:
    """The records, in order.

    Raises:
        StartupError: if the file cannot be read, or a line is not what was written.
    """
    mac = b""
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield _checked(line, mac, keys)
                    mac = _split(line)[0]
    except OSError as error:
        raise StartupError(f"the journal: cannot be read: {error.strerror}") from error


def _checked(line: bytes, before: bytes, keys: KeyRing) -> Record:
    mac, body = _split(line)
    if not keys.is_authentic(before + body, mac):
        raise StartupError(
            "the journal: was damaged, or is another server's; give a copy of this server's own"
        )
    record: Record = json.loads(body)
    return record


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap | bytes]:
    """A file's content, read where it is looked at."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            yield b""  # which cannot be mapped
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


def _backwards(content: mmap.mmap | bytes, end: int) -> Iterator[bytes]:
    """The lines before an offset at which one ends, the last first."""
    while end:
        start = content.rfind(b"\n", 0, end - 1) + 1
        yield content[start:end]
        end = start


def _split(line: bytes) -> tuple[bytes, bytes]:
    """The MAC and the JSON of a line; no MAC where it has none."""
    try:
        return bytes.fromhex(line[:_MAC_HEX].decode()), line[_MAC_HEX + 1 : -1]
    except ValueError:
        return b"", line
