"""Every fault of the long form, for either database, in any order."""

from errno import EIO, ENOSPC
from pathlib import Path
from random import Random

from tests.faults.clock import clock_jumps
from tests.faults.databases import (
    backend_killed,
    connections_lost,
    database_on_a_bad_disk,
    restarted,
)
from tests.faults.faults import (
    UNDER_LOAD,
    Fault,
    failing_at,
    held_up_at,
    killed_any_time,
    killed_at,
    terminated,
)
from tests.faults.shims import COMPILER, compiled
from tests.faults.storage import BadDisk, files_cannot_grow, on_a_bad_disk
from tests.postgres import Postgres
from unlearn_server.failpoints import Failpoint

TIMES = 4
"""Of most faults that may happen at any moment."""

_OFTEN = ("accept", "certify", "erase", "ingest")
"""What comes by with each request; the rest comes by now and then."""

_AFTER_A_START = [point for point in UNDER_LOAD if not point.startswith("publish.")]
"""A server publishes before it serves, and does not start where it cannot."""

_BAD_CALLS = (("write", EIO), ("write", ENOSPC), ("fsync", EIO))


def on_sqlite(rng: Random, kills: int, folder: Path) -> list[Fault]:
    """With so many kills at any moment; the folder is for what is compiled."""
    own = [files_cannot_grow() for _ in range(TIMES)]
    return _shuffled(rng, [*_of_the_server(rng, kills, folder), *own])


def on_postgresql(rng: Random, kills: int, folder: Path, postgres: Postgres) -> list[Fault]:
    """The same, and what happens to PostgreSQL itself."""
    own = [
        *(connections_lost(postgres, rng) for _ in range(2 * TIMES)),
        *(backend_killed(postgres, rng) for _ in range(TIMES)),
        *(restarted(postgres) for _ in range(TIMES)),
    ]
    if COMPILER:
        library = compiled("disk", postgres.folder)
        full = BadDisk(library, "write", ENOSPC, 1)
        own += [
            *(database_on_a_bad_disk(postgres, full, "data/base") for _ in range(TIMES)),
            *(
                database_on_a_bad_disk(postgres, BadDisk(library, call, error, every), "data")
                for call, error in _BAD_CALLS
                for every in (5, 11)
            ),
        ]
    return _shuffled(rng, [*_of_the_server(rng, kills, folder), *own])


def _of_the_server(rng: Random, kills: int, folder: Path) -> list[Fault]:
    faults = [
        *(killed_at(point, rng.randint(1, _late(point))) for point in UNDER_LOAD),
        *(killed_any_time(rng) for _ in range(kills)),
        *(terminated(rng) for _ in range(2 * TIMES)),
        *(failing_at(point, 2, 60) for point in _AFTER_A_START),
        *(held_up_at(point, 0.1, 400) for point in UNDER_LOAD),
    ]
    if COMPILER:
        disk, clock = compiled("disk", folder), compiled("clock", folder)
        faults += [
            *(clock_jumps(clock) for _ in range(TIMES)),
            *(
                on_a_bad_disk(BadDisk(disk, call, error, every))
                for call, error in _BAD_CALLS
                for every in (5, 11)
            ),
        ]
    return faults


def _late(point: Failpoint) -> int:
    """The last time that one waits for a place to be reached."""
    return 20 if point.startswith(_OFTEN) else 3


def _shuffled(rng: Random, faults: list[Fault]) -> list[Fault]:
    return rng.sample(faults, len(faults))
