from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unlearn_server.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def house_on_either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    house = House(tmp_path, url)
    yield house
    house.close()
