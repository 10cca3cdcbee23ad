"""Nothing is lost, done twice or left undone, wherever the server is killed."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.faults.campaign import Summary, campaign
from tests.faults.faults import (
    STARTUP,
    UNDER_LOAD,
    failing_at,
    held_up_at,
    killed_any_time,
    killed_at,
    terminated,
)
from unlearn_server.failpoints import Failpoint

KILLS = 8


@pytest.fixture
def sound(tmp_path: Path) -> Callable[..., Summary]:
    """Runs a campaign, and tells what must be true of each."""

    def sound(*args: object, **kwargs: object) -> Summary:
        summary = campaign(tmp_path, *args, seed=1, **kwargs)
        assert summary.mismatches == []
        checked = summary.checked
        assert checked.certificates == checked.leaves >= checked.erasures > 0
        return summary

    return sound


def test_a_server_killed_at_every_step_does_each_erasure_exactly_once(sound) -> None:
    faults = [killed_at(point) for point in UNDER_LOAD]
    summary = sound(faults, before_anything=[killed_at(point) for point in STARTUP])
    assert summary.starts == len(Failpoint) + 2


def test_a_server_killed_or_stopped_at_any_moment_does_each_erasure_exactly_once(sound) -> None:
    rng = Random()  # any moment; there is no seed for the kernel's part in it
    sound([*(killed_any_time(rng) for _ in range(KILLS)), terminated(rng), terminated(rng)])


def test_nothing_older_is_served_however_long_a_step_takes(sound) -> None:
    places = [Failpoint.RELEASE_COMMITTED, Failpoint.ERASE_COMMITTED]
    sound([held_up_at(point, 0.3, 2000) for point in places])


def test_an_error_that_nobody_foresaw_costs_no_request(sound) -> None:
    sound([failing_at(point, 2, 40) for point in UNDER_LOAD if not point.startswith("publish.")])
