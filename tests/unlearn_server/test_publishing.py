"""The published files: what the log holds, and no more than changed."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.foreign import verifiers
from tests.unlearn_server.cases import case
from unlearn_server.announcements import Announcements
from unlearn_server.certifying import Certifier
from unlearn_server.ledger import log
from unlearn_server.ledger.database import Database
from unlearn_server.log.notes import Ed25519NoteSigner
from unlearn_server.publishing import Publisher

ORIGIN = "unlearn.example/log"
KEY = Ed25519PrivateKey.generate()


class Press:
    """A log, and a publisher in our hands."""

    def __init__(self, directory: Path) -> None:
        self.database = Database.open(f"sqlite:///{directory}/unlearn.db")
        self.folder, self.changes = directory / "log", Announcements()
        self.publisher = self.new_publisher()
        self._certifier = Certifier(KEY)
        with self.database.write() as conn:
            self._certifier.open(conn, ORIGIN)

    def new_publisher(self) -> Publisher:
        return Publisher(self.database, self.folder, self.changes, lambda _: None)

    def grow(self, count: int) -> None:
        with self.database.write() as conn:
            self._certifier.certify(conn, [case(f"r{i}") for i in range(count)])

    @property
    def newest(self) -> bytes:
        with self.database.read() as conn:
            return log.head(conn).checkpoint.encode()

    def paths(self) -> set[str]:
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)) for path in files}


@pytest.fixture
def press(tmp_path: Path) -> Iterator[Press]:
    press = Press(tmp_path)
    yield press
    press.database.close()


def test_a_growing_log_satisfies_gos_reader_at_each_size(press: Press) -> None:
    cases = []
    for growth in (0, 1, 254, 1, 1, 300):
        if growth:
            press.grow(growth)
        press.publisher.publish()
        if not growth:
            continue
        with press.database.read() as conn:
            leaves = [leaf.entry for leaf in log.leaves(conn, range(1000))]
        files = {path: (press.folder / path).read_bytes() for path in press.paths()}
        del files["keys.json"]
        verifier_key = str(Ed25519NoteSigner(ORIGIN, KEY).verifier_key)
        cases.append({"log": {"files": files, "leaves": leaves, "verifierKeys": [verifier_key]}})
    assert verifiers.sumdb(cases) == [None] * len(cases)


def test_partial_tiles_go_once_the_full_one_is_there(press: Press) -> None:
    for growth in (3, 200):
        press.grow(growth)
        press.publisher.publish()
    assert {"tile/0/000.p/3", "tile/entries/000.p/203"} <= press.paths()
    press.grow(60)
    press.publisher.publish()
    assert press.paths() == {
        *("checkpoint", "keys.json", "tile/1/000.p/1"),
        *(f"tile/{each}/{path}" for each in ("0", "entries") for path in ("000", "001.p/7")),
    }


def test_full_tiles_are_written_once(press: Press, monkeypatch: pytest.MonkeyPatch) -> None:
    press.grow(520)
    press.publisher.publish()
    written: list[str] = []
    replace = os.replace

    def note(source: Any, target: Path) -> None:
        written.append(str(target.relative_to(press.folder)))
        replace(source, target)

    monkeypatch.setattr(os, "replace", note)
    press.publisher.publish()
    assert written == []
    press.grow(1)
    press.publisher.publish()
    assert len(written) == 4
    assert {"tile/0/002.p/9", "tile/entries/002.p/9", "keys.json"} == set(written[:-1])
    assert written[-1] == "checkpoint"  # whoever reads it finds the rest


def test_a_crash_before_the_checkpoint_leaves_the_old_one_whole(
    press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    press.grow(5)
    press.publisher.publish()
    before = (press.folder / "checkpoint").read_bytes()
    press.grow(300)
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            press.publisher.publish()
    assert (press.folder / "checkpoint").read_bytes() == before
    again = press.new_publisher()
    again.check()
    again.publish()
    assert (press.folder / "checkpoint").read_bytes() == press.newest


def test_what_is_logged_last_is_published_when_it_stops(press: Press) -> None:
    press.publisher.start()
    press.grow(3)
    press.publisher.stop()
    assert (press.folder / "checkpoint").read_bytes() == press.newest
