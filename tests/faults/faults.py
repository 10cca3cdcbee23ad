"""What is done to a server under load; each fault starts one, and comes back when it is gone."""

from collections.abc import Callable
from random import Random
from signal import SIGKILL
from subprocess import TimeoutExpired
from time import sleep

from tests.faults.servers import Servers
from tests.faults.told import Told
from unlearn_server.failpoints import ENVIRONMENT, Failpoint

Fault = Callable[[Servers, Told], None]

STARTUP = [point for point in Failpoint if point.startswith("start.")]
ELSEWHERE = ("start.", "rotate.", "master.", "backup.", "restore.")
UNDER_LOAD = [point for point in Failpoint if not point.startswith(ELSEWHERE)]


def killed_at(point: Failpoint, count: int = 1) -> Fault:
    """SIGKILL the moment a place is reached for that time."""

    def fault(servers: Servers, told: Told) -> None:
        servers.start({ENVIRONMENT: f"{point}=kill@{count}"})
        try:
            code = servers.wait()
        except TimeoutExpired as error:
            raise AssertionError(f"{point} was not reached for the {count}. time") from error
        if code != -SIGKILL:
            told.violations.append(f"the server ended with {code} before {point}: {servers.said}")

    return fault


def killed_any_time(rng: Random, longest: float = 0.5) -> Fault:
    """SIGKILL at any moment, with requests in flight."""

    def fault(servers: Servers, told: Told) -> None:
        servers.start()
        servers.wait_until_it_serves()
        after_answers(told, rng.randint(1, 30))
        sleep(rng.uniform(0, longest))
        servers.kill()

    return fault


def terminated(rng: Random) -> Fault:
    """SIGTERM, with requests in flight: those that were taken in are answered."""

    def fault(servers: Servers, told: Told) -> None:
        servers.start()
        end(servers, told, rng.randint(1, 30))

    return fault


def database_killed(crash: Callable[[], None]) -> Fault:
    """PostgreSQL goes down and comes back; a server that lost it ends, for it may be another's."""

    def fault(servers: Servers, told: Told) -> None:
        servers.start()
        servers.wait_until_it_serves()
        after_answers(told, 30)
        crash()
        if servers.wait() == 0:
            told.violations.append("the server took the loss of its database for a good end")

    return fault


def held_up_at(point: Failpoint, seconds: float, answers: int = 200) -> Fault:
    """A thread that stands still whenever it comes by; the others go on."""
    return _armed(f"{point}=sleep:{seconds}", answers)


def failing_at(point: Failpoint, count: int, answers: int = 200) -> Fault:
    """An error that nobody foresaw."""
    return _armed(f"{point}=raise@{count}", answers)


def end(servers: Servers, told: Told, answers: int) -> None:
    """SIGTERM after so many answers, which must end well."""
    servers.wait_until_it_serves()
    after_answers(told, answers)
    if code := servers.terminate():
        told.violations.append(f"after SIGTERM the server exited with {code}: {servers.said}")


def _armed(failpoints: str, answers: int) -> Fault:
    def fault(servers: Servers, told: Told) -> None:
        servers.start({ENVIRONMENT: failpoints})
        end(servers, told, answers)

    return fault


def after_answers(told: Told, answers: int) -> None:
    """Waits for so many, or for clients that have ended."""
    enough = told.calls + answers
    while told.calls < enough and not told.violations:
        sleep(0.005)
