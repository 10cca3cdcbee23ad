"""An audit finds what does not come of the rows."""

from pathlib import Path

import pytest
from sqlalchemy import text

from tests.unlearn_server.house import House


@pytest.fixture
def house(tmp_path: Path):
    house = House(tmp_path)
    house.fill("m", ["ada", "bob"], core=["c"])
    house.add("m", ("late", "eve"))
    yield house
    house.close()


def lose(house: House, which: str) -> None:
    """A row that goes without the server's doing."""
    with house.database.write() as conn:
        found = conn.scalar(text(f"SELECT {which}(key) FROM samples"))  # noqa: S608
        conn.execute(text("DELETE FROM sample_keys WHERE sample_key = :key"), {"key": found})
        conn.execute(text("DELETE FROM samples WHERE key = :key"), {"key": found})


def test_what_comes_of_the_rows_is_consistent(house: House) -> None:
    found = house.auditor.audit("m", b"s" * 32)
    assert found.consistent
    assert found.state_recomputed == found.state_held


def test_a_row_added_since_the_release_that_is_missing_is_found(house: House) -> None:
    lose(house, "max")
    found = house.auditor.audit("m", b"s" * 32)
    assert found.weights_agree
    assert not found.consistent


def test_a_row_of_the_release_that_is_missing_is_found(house: House) -> None:
    lose(house, "min")
    assert not house.auditor.audit("m", b"s" * 32).consistent
