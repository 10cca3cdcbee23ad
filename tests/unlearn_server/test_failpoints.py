"""Failpoints do what they are told, when they are told, and nothing otherwise."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from unlearn_server.errors import StartupError
from unlearn_server.failpoints import ENVIRONMENT, Failpoint, FailpointError, arm, reach


@pytest.fixture(autouse=True)
def disarmed():
    yield
    arm({})


def happens(point: Failpoint) -> bool:
    try:
        reach(point)
    except FailpointError:
        return True
    return False


def test_nothing_happens_where_nothing_is_armed() -> None:
    arm({})
    assert not any(happens(point) for point in Failpoint)


def test_an_action_happens_there_each_time_or_the_time_that_is_said() -> None:
    arm({ENVIRONMENT: "erase.stored=raise,shred.done=raise@3"})
    assert [happens(Failpoint.ERASE_STORED) for _ in range(4)] == [True] * 4
    assert [happens(Failpoint.SHRED_DONE) for _ in range(5)] == [False, False, True, False, False]
    assert not happens(Failpoint.SHRED_BEGUN)


def test_who_reads_the_log_sees_that_it_was_reached() -> None:
    arm({ENVIRONMENT: "accept.stored=sleep:0@2"})
    with capture_logs() as logs:
        for _ in range(3):
            reach(Failpoint.ACCEPT_STORED)
    assert [(entry["point"], entry["count"]) for entry in logs] == [("accept.stored", 2)]


def test_kill_leaves_no_time_for_anything() -> None:
    program = (
        "import atexit, sys\n"
        "from unlearn_server.failpoints import Failpoint, arm, reach\n"
        "atexit.register(print, 'not reached')\n"
        f"arm({{'{ENVIRONMENT}': 'start.keys=kill@2'}})\n"
        "reach(Failpoint.START_KEYS)\n"
        "print('once', flush=True)\n"
        "reach(Failpoint.START_KEYS)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[:1]) == (-signal.SIGKILL, ["once"])
    assert "not reached" not in done.stdout


@pytest.mark.parametrize(
    "text", ["erase.stored", "nowhere=kill", "erase.stored=sleep", "erase.stored=kill@x", "=kill"]
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(StartupError, match=f"{ENVIRONMENT}: {text} cannot be read"):
        arm({ENVIRONMENT: text})


def test_every_name_is_documented() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "durability.md").read_text()
    assert [point for point in Failpoint if f"`{point}`" not in documented] == []
