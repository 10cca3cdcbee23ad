"""Faults of PostgreSQL: connections lost, processes killed, restarts, and its disk gone bad.

A server that lost its database may end, for it may be another's by then; it must say so.
"""

import os
from collections.abc import Callable
from random import Random
from signal import SIGKILL

from tests.faults.faults import Fault, after_answers
from tests.faults.servers import Servers, wait_until
from tests.faults.storage import BadDisk
from tests.faults.told import Told
from tests.postgres import Postgres

_PIDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'unlearn-server'"
_LOST = "the connection to it was lost"
_FAILED = ("No space left on device", "Input/output error")
_ANSWERS, _FAILURES = 30, 20


def connections_lost(postgres: Postgres, rng: Random) -> Fault:
    """Any of them end, one or all; PostgreSQL goes on."""

    def strike() -> None:
        pids = _connections(postgres)
        for pid in rng.sample(pids, rng.randint(1, len(pids))):
            postgres.ask(f"SELECT pg_terminate_backend({pid})")

    return _struck("connections to the database lost", postgres, strike)


def backend_killed(postgres: Postgres, rng: Random) -> Fault:
    """One of PostgreSQL's processes; it then ends every connection and recovers."""

    def strike() -> None:
        os.kill(rng.choice(_connections(postgres)), SIGKILL)

    return _struck("a process of the database killed", postgres, strike)


def restarted(postgres: Postgres) -> Fault:
    """PostgreSQL is gone as after a crash, and comes back."""

    def strike() -> None:
        postgres.stop()
        postgres.start()

    return _struck("the database restarted", postgres, strike)


def database_on_a_bad_disk(postgres: Postgres, disk: BadDisk, folder: str) -> Fault:
    """A folder of PostgreSQL's is on it: ``data``, or ``data/base`` for all but its own log."""

    def happen(servers: Servers, told: Told) -> None:
        postgres.stop()
        postgres.start(disk.environment(postgres.folder / folder))
        servers.start()
        servers.wait_until_it_serves()
        begun = len(postgres.said)
        with disk.on():
            wait_until(lambda: any(words in postgres.said[begun:] for words in _FAILED), disk.kind)
            failures = told.retries + _FAILURES
            wait_until(lambda: told.retries >= failures or bool(told.violations), disk.kind)
        postgres.wait()
        _over(servers, told)
        postgres.stop()
        postgres.start()

    return Fault(f"{disk.kind}, of the database", happen)


def _connections(postgres: Postgres) -> list[int]:
    """The processes of PostgreSQL that serve the server."""
    return [int(pid) for (pid,) in postgres.ask(_PIDS)]


def _struck(kind: str, postgres: Postgres, strike: Callable[[], None]) -> Fault:
    def happen(servers: Servers, told: Told) -> None:
        servers.start()
        servers.wait_until_it_serves()
        after_answers(told, _ANSWERS)
        strike()
        _over(servers, told)
        postgres.wait()  # a server does not start while PostgreSQL recovers

    return Fault(kind, happen)


def _over(servers: Servers, told: Told) -> None:
    """Waits until it answers again, or ends and says why."""
    enough = told.calls + _ANSWERS
    wait_until(
        lambda: not servers.is_up or told.calls >= enough or bool(told.violations),
        "the server answers again or ends",
    )
    if servers.terminate() and _LOST not in servers.said:
        told.violations.append(f"it ended and did not say why: {servers.said[-5000:]}")
