"""A new master key takes over beside a server that goes on, whatever interrupts it."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.unlearn_server.house import EVERYONE, House, counts
from unlearn_server import custody, remastering
from unlearn_server.domain import ErasureState, Method
from unlearn_server.errors import DecryptionError, StartupError
from unlearn_server.failpoints import ENVIRONMENT, Failpoint, FailpointError, arm
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import key_ids
from unlearn_server.ledger.schema import release_keys, sample_keys

PEOPLE = ["ada", "bob", "eve", *(f"p{i}" for i in range(13))]
POINTS = [point for point in Failpoint if point.startswith("master.")]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remastering, "_AT_ONCE", 3)
    yield
    arm({})


def rotate(house: House, directory: Path) -> list[tuple[int, int]]:
    """As the command does it, in a process of its own; how far it was, step by step."""
    told: list[tuple[int, int]] = []
    keys = KeyRing.open(directory, create=False)
    remastering.rotate(house.database, keys, directory, lambda *far: told.append(far))
    return told


def wrapped(house: House) -> dict[str, set[bytes]]:
    """The wrapped keys that there are, and what wraps them."""
    with house.database.read() as conn:
        keys, masters = set[bytes](), set[bytes]()
        for table in (sample_keys, release_keys):
            for row in conn.execute(sa.select(table.c.wrapped_key, table.c.master_id)):
                keys.add(row.wrapped_key)
                masters.add(row.master_id)
    return {"keys": keys, "masters": masters}


def opens(house: House, directory: Path) -> None:
    """A server that starts now can read everything, and so can the one that runs."""
    fresh = KeyRing.open(directory, create=False)
    with house.database.read() as conn:
        custody.check(conn, fresh)
    for ring in (fresh, house.keys):
        house.auditor._keys = ring
        for model_id in ("a", "b"):
            assert house.is_consistent(model_id)


def work(house: House, who: str, new: str) -> None:
    """What a server does: samples are added, released and erased."""
    house.add("a", (f"{new}-0", new), (f"{new}-1", new))
    house.release("b")
    erasure = house.ask(house.subjects(who))
    house.eraser.erase_open()
    assert house.now(erasure).state is ErasureState.SUCCEEDED
    assert counts(house.now(erasure)) == {"a": 2, "b": 2}


@pytest.fixture
def used(house_on_either: House) -> House:
    for model_id in ("a", "b"):
        house_on_either.fill(model_id, PEOPLE, core=["c"])
    return house_on_either


def test_all_keys_are_wrapped_by_another_and_open(used: House, tmp_path: Path) -> None:
    before, old = wrapped(used), (tmp_path / "master.key").read_bytes()
    assert rotate(used, tmp_path) == [(done, 68) for done in (*range(3, 69, 3), 68)]
    after = wrapped(used)
    assert len(after["keys"]) == 68
    assert not before["keys"] & after["keys"]
    with used.database.read() as conn:
        assert {*key_ids.masters(conn)} == after["masters"]
    assert len(after["masters"]) == 1
    assert after["masters"] != before["masters"]
    assert (tmp_path / "master.key").read_bytes() != old
    assert not (tmp_path / "master.key.next").exists()
    opens(used, tmp_path)
    work(used, "ada", "new")
    assert wrapped(used)["masters"] == after["masters"]


def test_what_stops_anywhere_leaves_all_readable_and_goes_on(used: House, tmp_path: Path) -> None:
    for i, point in enumerate(POINTS):
        old = wrapped(used)
        arm({ENVIRONMENT: f"{point}=raise"})
        with pytest.raises(FailpointError):
            rotate(used, tmp_path)
        arm({})
        opens(used, tmp_path)
        work(used, PEOPLE[2 * i], f"new{2 * i}")
        opens(used, tmp_path)
        rotate(used, tmp_path)
        opens(used, tmp_path)
        work(used, PEOPLE[2 * i + 1], f"new{2 * i + 1}")
        now = wrapped(used)
        assert len(now["masters"]) == 1
        assert not old["masters"] & now["masters"]
        assert not old["keys"] & now["keys"]


def test_what_is_sealed_meanwhile_is_sealed_under_the_next_key(used: House, tmp_path: Path) -> None:
    arm({ENVIRONMENT: f"{Failpoint.MASTER_BEGUN}=raise"})
    with pytest.raises(FailpointError):
        rotate(used, tmp_path)
    before = wrapped(used)["keys"]
    used.add("a", ("x", "new"), ("y", "new"))
    used.release("a")
    with used.database.read() as conn:
        old, following = key_ids.masters(conn)
        for table in (sample_keys, release_keys):
            for row in conn.execute(sa.select(table.c.wrapped_key, table.c.master_id)):
                assert row.master_id == (old if row.wrapped_key in before else following)


def test_the_database_keeps_a_key_that_wraps_something(used: House) -> None:
    with pytest.raises(sa.exc.IntegrityError), used.database.write() as conn:
        key_ids.drop_others(conn, b"another")


def test_a_key_that_does_not_open_keeps_the_old_master_key(used: House, tmp_path: Path) -> None:
    old = (tmp_path / "master.key").read_bytes()
    with used.database.write() as conn:
        last = sa.select(sa.func.max(sample_keys.c.sample_key)).scalar_subquery()
        damaged = sa.update(sample_keys).where(sample_keys.c.sample_key == last)
        conn.execute(damaged.values(wrapped_key=bytes(60)))
    with pytest.raises(DecryptionError, match="does not open"):
        rotate(used, tmp_path)
    assert (tmp_path / "master.key").read_bytes() == old


def test_two_at_once_are_not_possible(used: House, tmp_path: Path) -> None:
    caught: list[StartupError] = []

    def second(_done: int, _of: int) -> None:
        with pytest.raises(StartupError) as error:
            rotate(used, tmp_path)
        caught.append(error.value)

    keys = KeyRing.open(tmp_path, create=False)
    remastering.rotate(used.database, keys, tmp_path, second)
    assert caught
    assert all("master key is being replaced" in str(error) for error in caught)


def test_everything_may_go_while_it_is_wrapped(used: House, tmp_path: Path) -> None:
    def erase(_done: int, _of: int) -> None:
        used.ask(EVERYONE, "a", method=Method.ZERO)
        used.eraser.erase_open()

    keys = KeyRing.open(tmp_path, create=False)
    remastering.rotate(used.database, keys, tmp_path, erase)
    assert used.model("a").sample_count == 1
    opens(used, tmp_path)


def test_many_rotations_follow_each_other(used: House, tmp_path: Path) -> None:
    masters = set[bytes]()
    for _ in range(3):
        rotate(used, tmp_path)
        masters |= wrapped(used)["masters"]
    assert len(masters) == 3
    opens(used, tmp_path)
