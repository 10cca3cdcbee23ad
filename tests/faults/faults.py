"""What is done to a server under load; each fault starts one, and comes back when it is gone."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from signal import SIGKILL
from subprocess import TimeoutExpired
from time import sleep

from tests.faults.servers import Servers
from tests.faults.told import Told
from unlearn_server.failpoints import ENVIRONMENT, Failpoint


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: what is counted together.
        happen: does it to the next server.
    """

    kind: str
    happen: Callable[[Servers, Told], None]


STARTUP = [point for point in Failpoint if point.startswith("start.")]
ELSEWHERE = ("start.", "rotate.", "master.", "backup.", "restore.")
UNDER_LOAD = [point for point in Failpoint if not point.startswith(ELSEWHERE)]


def killed_at(point: Failpoint, count: int = 1) -> Fault:
    """SIGKILL the moment a place is reached for that time."""

    def happen(servers: Servers, told: Told) -> None:
        servers.start({ENVIRONMENT: f"{point}=kill@{count}"})
        try:
            code = servers.wait()
        except TimeoutExpired as error:
            raise AssertionError(f"{point} was not reached for the {count}. time") from error
        if code != -SIGKILL:
            told.violations.append(f"the server ended with {code} before {point}: {servers.said}")

    return Fault("SIGKILL at a failpoint", happen)


def killed_any_time(rng: Random, longest: float = 0.5) -> Fault:
    """SIGKILL at any moment, with requests in flight."""

    def happen(servers: Servers, told: Told) -> None:
        servers.start()
        servers.wait_until_it_serves()
        after_answers(told, rng.randint(1, 30))
        sleep(rng.uniform(0, longest))
        servers.kill()

    return Fault("SIGKILL at any moment", happen)


def terminated(rng: Random) -> Fault:
    """SIGTERM, with requests in flight: those that were taken in are answered."""

    def happen(servers: Servers, told: Told) -> None:
        servers.start()
        end(servers, told, rng.randint(1, 30))

    return Fault("SIGTERM", happen)


def held_up_at(point: Failpoint, seconds: float, answers: int = 200) -> Fault:
    """A thread that stands still whenever it comes by; the others go on."""
    return _armed("a step held up", f"{point}=sleep:{seconds}", answers)


def failing_at(point: Failpoint, count: int, answers: int = 200) -> Fault:
    """An error that nobody foresaw."""
    return _armed("an error at a failpoint", f"{point}=raise@{count}", answers)


def end(servers: Servers, told: Told, answers: int) -> None:
    """SIGTERM after so many answers, which must end well."""
    servers.wait_until_it_serves()
    after_answers(told, answers)
    if code := servers.terminate():
        told.violations.append(f"after SIGTERM the server exited with {code}: {servers.said}")


def _armed(kind: str, failpoints: str, answers: int) -> Fault:
    def happen(servers: Servers, told: Told) -> None:
        servers.start({ENVIRONMENT: failpoints})
        end(servers, told, answers)

    return Fault(kind, happen)


def after_answers(told: Told, answers: int) -> None:
    """Waits for so many, or for clients that have ended."""
    enough = told.calls + answers
    while told.calls < enough and not told.violations:
        sleep(0.005)
