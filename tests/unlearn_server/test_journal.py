"""The journal tells what the log holds, whatever crashes, and nothing of it can be changed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.unlearn_server.cases import case
from tests.unlearn_server.house import House
from unlearn_server.certifying import Certifier
from unlearn_server.errors import StartupError, TakenOverError
from unlearn_server.journal import Journal, keeping, records
from unlearn_server.journal.lines import Lines, read
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import log
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.log import Leaf

KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    return KeyRing.open(tmp_path, create=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "erasures"


def test_lines_come_back_in_both_orders_from_whoever_opens_them(path: Path, keys: KeyRing) -> None:
    written = [{"n": n, "text": "é" * n} for n in range(5)]
    for record in written:
        Lines(path, keys).append(record)
    assert list(read(path, keys)) == written
    assert list(Lines(path, keys).backwards()) == written[::-1]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("rest", [1, 30, 64, 65, 66, 100])
def test_a_line_that_was_not_finished_is_none(path: Path, keys: KeyRing, rest: int) -> None:
    lines = Lines(path, keys)
    lines.append({"n": 0})
    whole = path.stat().st_size
    lines.append({"n": 1, "text": "x" * 60})
    with path.open("r+b") as file:
        file.truncate(whole + rest)
    assert list(read(path, keys)) == [{"n": 0}]
    Lines(path, keys).append({"n": 2})
    assert list(read(path, keys)) == [{"n": 0}, {"n": 2}]


def changed(content: bytes) -> Iterator[bytes]:
    lines = content.splitlines(keepends=True)
    yield b"".join(lines[1:])  # without the first
    yield lines[0] + lines[2]  # without one between
    yield lines[1] + lines[0] + lines[2]
    yield content + lines[0]
    yield content + b"\n"
    yield content[:70] + bytes([content[70] ^ 1]) + content[71:]
    yield content[:3] + b"0" + content[4:] if content[3:4] != b"0" else b"1" + content[1:]
    yield content + b"not a line\n"
    yield content + bytes(range(256)) + b"\n"


@pytest.mark.parametrize("index", range(9))
def test_what_was_changed_is_not_read(path: Path, keys: KeyRing, index: int) -> None:
    lines = Lines(path, keys)
    for n in range(3):
        lines.append({"n": n})
    path.write_bytes([*changed(path.read_bytes())][index])
    with pytest.raises(StartupError, match="was damaged, or is another server's"):
        list(read(path, keys))
    with pytest.raises(StartupError, match="was damaged, or is another server's"):
        list(Lines(path, keys).backwards())


def test_another_servers_lines_are_not_read(path: Path, keys: KeyRing, tmp_path: Path) -> None:
    Lines(path, keys).append({"n": 0})
    (tmp_path / "other").mkdir()
    with pytest.raises(StartupError, match="another server's"):
        Journal(path, KeyRing.open(tmp_path / "other", create=True))


def test_what_was_cut_meanwhile_is_not_written_after(path: Path, keys: KeyRing) -> None:
    lines = Lines(path, keys)
    lines.append({"n": 0})
    path.write_bytes(b"")
    with pytest.raises(OSError, match="was cut"):
        lines.append({"n": 1})
    assert path.read_bytes() == b""


def remembered(path: Path, keys: KeyRing) -> list[Leaf]:
    """The leaves as a restore would read them."""
    leaves: list[Leaf] = []
    for growth in filter(None, map(records.growth, read(path, keys))):
        del leaves[growth.base.size :]
        leaves += [each.leaf for each in growth.leaves]
        assert len(leaves) == growth.tree.size
    return leaves


def logged(database: Database) -> list[Leaf]:
    with database.read() as conn:
        return list(log.leaves(conn, range(10_000)))


class Logged:
    """A log and its journal, which are opened again as often as one likes."""

    def __init__(self, path: Path, keys: KeyRing) -> None:
        self.database = Database.open(f"sqlite:///{path.parent.parent}/unlearn.db")
        self._path, self._keys = path, keys
        self.open()

    def open(self) -> None:
        self.journal = Journal(self._path, self._keys)
        self._certifier = Certifier(KEY, self.journal)
        with self.database.write() as conn:
            self._certifier.open(conn, None)

    def grow(self, *names: str, fail: bool = False) -> None:
        with self.database.write() as conn:
            self._certifier.certify(conn, [case(name) for name in names])
            if fail:
                conn.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
                conn.exec_driver_sql("INSERT INTO erasure_models VALUES (99, 99, 0)")

    def show(self) -> None:
        with self.database.read() as conn:
            self.journal.show(conn)

    def check(self) -> None:
        assert remembered(self._path, self._keys) == logged(self.database)


@pytest.fixture
def kept(path: Path, keys: KeyRing) -> Iterator[Logged]:
    kept = Logged(path, keys)
    yield kept
    kept.database.close()


@pytest.mark.parametrize("names", [(), ("c",), ("c", "d"), ("c", "d", "e", "f")])
@pytest.mark.parametrize("opened", [False, True])
def test_what_did_not_commit_is_taken_back(
    kept: Logged, path: Path, names: tuple[str, ...], opened: bool
) -> None:
    kept.grow("a", "b")
    with pytest.raises(Exception, match="FOREIGN KEY"):
        kept.grow("lost", "lost too", fail=True)
    told = path.read_text().splitlines()
    assert len(told) == 2  # it had been written
    if opened:
        kept.open()
    if names:
        kept.grow(*names)
    if opened or names:
        kept.check()
    assert len(logged(kept.database)) == 2 + len(names)


def test_what_another_wrote_meanwhile_is_made_up_for(kept: Logged, path: Path) -> None:
    kept.grow("a")
    before = path.read_bytes()
    kept.grow("b", "c")
    path.write_bytes(before)  # as a server on another machine has it
    kept.open()
    kept.check()
    path.unlink()
    kept.open()
    kept.check()


def test_each_of_several_servers_keeps_what_any_of_them_did(
    kept: Logged, keys: KeyRing, tmp_path: Path
) -> None:
    other = Logged(tmp_path / "other" / "erasures", keys)
    kept.grow("a")
    for one, another in ((kept, other), (other, kept)):
        another.grow("b", "c")
        one.show()
        one.check()
        another.show()
        one.open()
        one.grow("d")
        another.show()
        another.check()
    other.database.close()


def test_what_rests_on_less_than_is_shown_is_not_written(kept: Logged, path: Path) -> None:
    """Another server had the next turn: the transaction that read before it has no session."""
    kept.grow("a")
    with kept.database.read() as conn:
        base = log.head(conn).frontier
    kept.grow("b")
    kept.show()
    before = path.read_bytes()
    with kept.database.read() as conn, pytest.raises(TakenOverError):
        kept.journal.append(conn, base, log.head(conn).frontier, [])
    assert path.read_bytes() == before


@pytest.mark.parametrize("names", ["b", "bc"])
def test_a_database_that_is_older_than_its_journal_is_refused(
    kept: Logged, path: Path, keys: KeyRing, tmp_path: Path, names: str
) -> None:
    kept.grow("a")
    kept.database.checkpoint()
    shutil.copy(tmp_path / "unlearn.db", tmp_path / "old.db")
    for name in names:
        kept.grow(name)
        kept.show()
    before = path.read_bytes()
    old = Database.open(f"sqlite:///{tmp_path}/old.db")
    with (
        pytest.raises(StartupError, match="would show two histories"),
        old.write() as conn,
    ):
        Certifier(KEY, Journal(path, keys)).open(conn, None)
    old.close()
    assert path.read_bytes() == before


def test_what_is_told_of_a_request_is_the_same_from_the_case_and_from_the_database(
    tmp_path: Path,
) -> None:
    house = House(tmp_path)
    house.fill("m", ["ada", "bob", "eve"])
    house.ask(house.subjects("ada"))
    house.ask(house.samples("bob-0"))
    house.eraser.erase_open()
    house.decisions.refuse(house.ask(house.subjects("eve")).request_id, "gdpr-17-3-b", "a reason")
    path = tmp_path / "journal"
    first = told(path, house.keys)
    assert b"a reason" not in path.read_bytes()
    path.unlink()
    journal = Journal(path, house.keys)
    with house.database.write() as conn:
        journal.open(conn)
    assert told(path, house.keys) == first
    assert [each["request"]["selection"] for each in first] == ["SUBJECTS", "SAMPLES", "SUBJECTS"]
    house.close()


def test_all_that_wait_and_all_that_was_deleted_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_BLOCK", 2)
    house = House(tmp_path)
    house.fill("m", ["ada", "bob", "eve", "zoe", "kim"])
    asked = [house.ask(house.subjects(who)) for who in ("ada", "bob", "eve", "zoe", "kim")]
    house.fill("doomed", [])
    house.delete("doomed")
    journal = Journal(tmp_path / "another", house.keys)
    for _ in range(2):
        with house.database.read() as conn:
            journal.show(conn)
    records = list(read(tmp_path / "another", house.keys))
    waiting = [each["requestId"] for record in records for each in record.get("open", ())]
    assert waiting == [erasure.request_id for erasure in asked]
    assert [record["deleted"] for record in records if "deleted" in record] == [["doomed"]]
    house.close()


def told(path: Path, keys: KeyRing) -> list[dict[str, Any]]:
    found = [leaf for record in read(path, keys) for leaf in record["leaves"]]
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]
