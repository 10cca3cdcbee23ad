"""Where the master key comes from: a file, the environment, or a command that wraps it.

``file:PATH`` holds 32 random bytes. ``env:NAME`` is a variable with 32 random bytes in base64.
``command:PROGRAM ARGUMENT...`` is for key-management services: the key is made here and kept in
the data directory as what the command made of it. The command is run with one argument more,
``wrap`` or ``unwrap``; it reads base64 from its standard input, and writes the other form, in
base64, to its standard output. It exits with 0, or says on its standard error what is wrong.

While a key is replaced there are two: the next one is in ``PATH.next`` or ``NAME_NEXT``, and
takes its place when it wraps everything. Who reads keys reads both.
"""

import binascii
import os
import shlex
import signal
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Protocol

from unlearn_server.errors import StartupError
from unlearn_server.failpoints import Failpoint, reach
from unlearn_server.private_files import (
    create_private,
    is_overwritten,
    overwrite,
    read_private,
    replace,
)

KEY_BYTES = 32
MASTER_FILE = "master.key"
WRAPPED_FILE = "wrapped-master.key"

_PATIENCE_SECONDS = 30.0


class MasterKeys(Protocol):
    """The master key in force, and the next one while there is one.

    Every method raises StartupError where a key cannot be had.

    Attributes:
        name: what it is called in messages.
        is_seen_at_once: whether servers that run can read a next key.
    """

    name: str
    is_seen_at_once: bool

    def create(self) -> None:
        """Makes a key if there is none, where that can be done."""

    def read(self) -> list[bytes]:
        """One key, or two."""

    def following(self) -> bytes:
        """The next key, made if that can be done and there is none."""

    def promote(self) -> None:
        """Puts the next key in force, and drops the one that was."""


def source(text: str | None, data_dir: Path) -> MasterKeys:
    """The source that an operator names; by default a file in the data directory.

    Raises:
        StartupError: if it names none.
    """
    kind, _, rest = (text or f"file:{data_dir / MASTER_FILE}").partition(":")
    if rest and kind == "file":
        return KeyFile(Path(rest))
    if rest and kind == "env":
        return KeyVariable(rest)
    if rest and kind == "command":
        return WrappedKeyFile(data_dir / WRAPPED_FILE, shlex.split(rest))
    raise StartupError("--master-key: is none of file:PATH, env:NAME and command:PROGRAM")


class KeyFile:
    """A key in a file of its own."""

    is_seen_at_once = True

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        self._next = path.with_name(f"{path.name}.next")

    def create(self) -> None:  # noqa: D102 # the protocol's
        if not self._path.exists():
            create_private(self._path, self._encode(os.urandom(KEY_BYTES)))

    def read(self) -> list[bytes]:  # noqa: D102 # the protocol's
        if not self._next.exists():
            return [self._read(self._path)]
        # Where it was stopped in between, the old one's place is yet to be taken.
        old = [] if is_overwritten(self._path) else [self._read(self._path)]
        return [*old, self._read(self._next)]

    def following(self) -> bytes:  # noqa: D102 # the protocol's
        if not self._next.exists():
            create_private(self._next, self._encode(os.urandom(KEY_BYTES)))
        return self._read(self._next)

    def promote(self) -> None:  # noqa: D102 # the protocol's
        overwrite(self._path)
        reach(Failpoint.MASTER_OVERWRITTEN)
        replace(self._path, by=self._next)

    def _read(self, path: Path) -> bytes:
        return _of_length(self._decode(read_private(path)), path.name)

    def _encode(self, key: bytes) -> bytes:
        return key

    def _decode(self, content: bytes) -> bytes:
        return content


class WrappedKeyFile(KeyFile):
    """A key in a file that a command opens."""

    def __init__(self, path: Path, command: list[str]) -> None:
        super().__init__(path)
        self._command = command

    def _encode(self, key: bytes) -> bytes:
        wrapped = self._run("wrap", key)
        if self._run("unwrap", wrapped) != key:
            raise StartupError("--master-key: the command does not unwrap what it wrapped")
        return wrapped

    def _decode(self, content: bytes) -> bytes:
        return self._run("unwrap", content)

    def _run(self, verb: str, data: bytes) -> bytes:
        try:
            code, said = _talk([*self._command, verb], b64encode(data) + b"\n")
        except OSError as error:
            message = f"the command cannot be run: {error.strerror}"
            raise StartupError(f"--master-key: {message}") from error
        except subprocess.TimeoutExpired as error:
            message = f"the command did not {verb} the key within {_PATIENCE_SECONDS:g} s"
            raise StartupError(f"--master-key: {message}") from error
        if code:
            message = f"the command ended with {code} when told to {verb}; see what it said"
            raise StartupError(f"--master-key: {message}")
        return _from_base64(said, f"--master-key: what the command answered to {verb}")


class KeyVariable:
    """A key in the environment, which a process is given once."""

    is_seen_at_once = False

    def __init__(self, variable: str) -> None:
        self.name = variable
        self._next = f"{variable}_NEXT"

    def create(self) -> None:
        """Nothing: the operator makes it."""

    def read(self) -> list[bytes]:  # noqa: D102 # the protocol's
        names = (self.name, self._next) if self._next in os.environ else (self.name,)
        return [self._read(name) for name in names]

    def following(self) -> bytes:  # noqa: D102 # the protocol's
        key = self._read(self._next)
        if key == self._read(self.name):
            raise StartupError(f"{self._next}: is the key in force; give a new one")
        return key

    def promote(self) -> None:
        """Nothing: the operator does it."""

    def _read(self, name: str) -> bytes:
        text = os.environ.get(name, "").encode()
        if not text:
            message = "is not set; give it 32 random bytes, as openssl rand -base64 32 makes them"
            raise StartupError(f"{name}: {message}")
        return _of_length(_from_base64(text, name), name)


def _of_length(key: bytes, name: str) -> bytes:
    if len(key) != KEY_BYTES:
        raise StartupError(f"{name}: is not {KEY_BYTES} bytes long; restore it from a backup")
    return key


def _from_base64(text: bytes, name: str) -> bytes:
    try:
        return b64decode(text.strip(), validate=True)
    except binascii.Error as error:
        raise StartupError(f"{name}: is no base64; encode it so") from error


def _talk(command: list[str], said: bytes) -> tuple[int, bytes]:
    """Runs a program; its exit code and output. All that it started ends with its time."""
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603 # the operator's own
        command, stdin=pipe, stdout=pipe, start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate(said, _PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, output
