"""A clock that jumps loses nothing: it says what is due when, and never what is done."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.unlearn_server.test_erasing import SUCCEEDED, House
from unlearn_server import eraser
from unlearn_server.domain import ErasureState

NEVER = 1000
DAY = timedelta(days=1)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    house.fill("m", ["ada", "bob"])
    house.fill("patient", ["ada", "bob"], cohort=NEVER)
    yield house
    house.close()


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch):
    """Sets the eraser's clock ahead, or back."""

    def jump(by: timedelta) -> None:
        clock = SimpleNamespace(now=lambda tz: datetime.now(tz) + by)
        monkeypatch.setattr(eraser, "datetime", clock)

    return jump


@pytest.mark.parametrize("by", [timedelta(days=-400), timedelta(days=400)])
def test_what_waits_for_nobody_is_erased_whatever_the_clock_says(house, jump, by) -> None:
    jump(by)
    erasure = house.ask(house.subjects("ada"), "m")
    house.eraser.erase_open()
    done = house.now(erasure)
    assert done.state is SUCCEEDED
    assert abs(done.complete_time - datetime.now(UTC) - by) < DAY  # as the clock said
    house.eraser.erase_open()
    assert house.now(erasure) == done
    assert house.is_consistent("m")


def test_a_request_that_waits_for_its_cohort_goes_when_the_clock_says_so_and_once(
    house, jump
) -> None:
    erasure = house.ask(house.subjects("ada"), "patient")
    for days in (0, 26, -400):  # the shortest month has 28 days, and the last call is one
        jump(timedelta(days=days))
        house.eraser.erase_open()
        assert house.now(erasure).state is ErasureState.PENDING
    jump(timedelta(days=31))
    house.eraser.erase_open()
    assert house.now(erasure).state is SUCCEEDED
    jump(timedelta(days=-400))
    house.eraser.erase_open()
    assert house.now(erasure).state is SUCCEEDED
    assert house.is_consistent("patient")
