"""Secrets that are not the database's are told at once, with counts and without an id."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.unlearn_server.house import House
from unlearn_server import custody
from unlearn_server.errors import StartupError
from unlearn_server.keys import HASHING_FILE, KeyRing
from unlearn_server.ledger import key_ids
from unlearn_server.master_keys import MASTER_FILE

Change = Callable[[Path], None]


def other(path: Path) -> None:
    path.write_bytes(os.urandom(32))


def check(house: House, directory: Path) -> None:
    keys = KeyRing.open(directory, create=False)
    with house.database.write() as conn:
        custody.begin(conn, keys)
        custody.check(conn, keys)


@pytest.fixture
def used(house_on_either: House) -> House:
    house_on_either.fill("a", ["ada", "bob"])
    house_on_either.fill("b", ["ada"], core=["c"], release=False)
    return house_on_either


def test_the_right_secrets_pass(used: House, tmp_path: Path) -> None:
    check(used, tmp_path)
    check(used, tmp_path)


def test_another_master_key_is_told_with_what_it_does_not_open(used: House, tmp_path: Path) -> None:
    other(tmp_path / MASTER_FILE)
    with pytest.raises(StartupError) as caught:
        check(used, tmp_path)
    assert str(caught.value) == (
        "master.key: is not the master key in use; restore that one from a backup (models/a: 4 "
        "samples and the release do not open; models/b: 3 samples do not open)"
    )


def test_another_master_key_is_told_where_there_is_nothing_to_open(
    house: House, tmp_path: Path
) -> None:
    other(tmp_path / MASTER_FILE)
    with pytest.raises(StartupError, match=r"^master\.key: is not the master key in use; restore"):
        check(house, tmp_path)


def test_another_hashing_secret_is_told(used: House, tmp_path: Path) -> None:
    other(tmp_path / HASHING_FILE)
    with pytest.raises(StartupError, match=r"^id-hashing\.key: is not the secret that ids were"):
        check(used, tmp_path)


def make_old(house: House) -> None:
    """As a version before left it: no ids, and releases and salts in clear."""
    with house.database.write() as conn:
        conn.execute(sa.text("INSERT INTO key_ids (kind, key_id) VALUES ('MASTER', :old)"), OLD)
        conn.execute(sa.text("UPDATE sample_keys SET master_id = :old"), OLD)
        conn.execute(sa.text("UPDATE release_keys SET master_id = :old"), OLD)
        conn.execute(sa.text("UPDATE releases SET payload = :clear"), {"clear": CLEAR})
        conn.execute(sa.text("UPDATE erasures SET commitment_salt = :salt"), {"salt": SALT})
        conn.execute(sa.text("DELETE FROM key_ids WHERE key_id <> :old"), OLD)


OLD = {"old": b""}
SALT = bytes(range(32))
CLEAR = bytes(32) + b"the weights, in clear"


def clear(house: House) -> bool:
    with house.database.read() as conn:
        return CLEAR in conn.scalars(sa.text("SELECT payload FROM releases")).all()


def test_what_an_older_version_left_is_taken_over_and_sealed(used: House, tmp_path: Path) -> None:
    asked = used.ask(used.subjects("bob"))
    make_old(used)
    assert clear(used)
    check(used, tmp_path)
    assert not clear(used)
    assert used.keys.reveal(used.now(asked).commitment_salt or b"") == SALT
    with used.database.read() as conn:
        assert key_ids.masters(conn) == used.keys.master_ids
        assert key_ids.unopened(conn, used.keys.master_ids) == {}
    used.add("a", ("x", "eve"))


@pytest.mark.parametrize("name", [MASTER_FILE, HASHING_FILE])
def test_what_an_older_version_left_stays_as_it_is_beside_another_secret(
    used: House, tmp_path: Path, name: str
) -> None:
    make_old(used)
    other(tmp_path / name)
    with pytest.raises(StartupError, match=f"^{name}: is not the"):
        check(used, tmp_path)
    assert clear(used)
    with used.database.read() as conn:
        assert key_ids.masters(conn) == [b""]
