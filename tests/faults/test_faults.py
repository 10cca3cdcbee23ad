"""Nothing is lost, done twice or left undone, whatever happens to the server; and who says so."""

from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from errno import EIO, ENOSPC
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from tests.faults.callers import CLASSES, Caller
from tests.faults.campaign import campaign
from tests.faults.checker import Checker
from tests.faults.clock import clock_jumps
from tests.faults.databases import (
    backend_killed,
    connections_lost,
    database_on_a_bad_disk,
    restarted,
)
from tests.faults.faults import (
    STARTUP,
    UNDER_LOAD,
    failing_at,
    held_up_at,
    killed_any_time,
    killed_at,
    terminated,
)
from tests.faults.load import load
from tests.faults.servers import Servers, wait_until
from tests.faults.shims import COMPILER, compiled
from tests.faults.storage import BadDisk, files_cannot_grow, on_a_bad_disk
from tests.faults.told import Told
from tests.postgres import Postgres
from unlearn_server.failpoints import Failpoint

KILLS = 4


def test_whatever_fails_each_erasure_is_carried_out_exactly_once(tmp_path: Path) -> None:
    rng = Random()  # any moment; there is no seed for the kernel's part in it
    faults = [
        *(killed_at(point) for point in UNDER_LOAD),
        *(killed_any_time(rng) for _ in range(KILLS)),
        terminated(rng),
        held_up_at(Failpoint.ERASE_COMMITTED, 0.1, 600),
        failing_at(Failpoint.ERASE_STORED, 2, 40),
        failing_at(Failpoint.ERASE_COMMITTED, 2, 40),
        files_cannot_grow(),
    ]
    if COMPILER:
        disk, clock = compiled("disk", tmp_path), compiled("clock", tmp_path)
        faults += [on_a_bad_disk(BadDisk(disk, call, EIO, 7)) for call in ("write", "fsync")]
        faults.append(clock_jumps(clock))
    at_first = [killed_at(point) for point in STARTUP]
    summary = campaign(tmp_path, faults, before_anything=at_first, seed=1)
    assert summary.mismatches == []
    assert summary.starts == len(at_first) + len(faults) + 2
    checked = summary.checked
    assert checked.certificates == checked.leaves >= checked.erasures > len(faults)


IN_POSTGRESQL = [
    Failpoint.ACCEPT_STORED,
    Failpoint.ACCEPT_COMMITTED,
    Failpoint.ERASE_DELETED,
    Failpoint.CERTIFY_APPENDED,
    Failpoint.ERASE_STORED,
    Failpoint.ERASE_COMMITTED,
]


def test_so_it_is_on_postgresql_which_fails_as_well(tmp_path: Path, postgres: Postgres) -> None:
    rng = Random()
    faults = [
        *(killed_at(point) for point in IN_POSTGRESQL),
        backend_killed(postgres, rng),
        killed_any_time(rng),
        restarted(postgres),
        connections_lost(postgres, rng),
        terminated(rng),
    ]
    if COMPILER:
        disk = BadDisk(compiled("disk", postgres.folder), "write", ENOSPC, 1)
        faults.append(database_on_a_bad_disk(postgres, disk, "data/base"))
    options = ["--database", postgres.new_database()]
    summary = campaign(tmp_path, faults, seed=2, options=options)
    assert summary.mismatches == []
    assert summary.starts == len(faults) + 2


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("untouched"))
    with servers.up():
        yield servers


@pytest.fixture(scope="module")
def told(servers: Servers) -> Told:
    """What clients were told by a server that nobody attacks."""
    told = Told()
    Caller(servers.address, told, Random(0)).found()
    stop = load(servers.address, told, servers.data_dir / "log", seed=0, clients=2)
    wait_until(lambda: len(told.asked) > 10, "ten people are forgotten")
    stop()
    return told


def forged(told: Told) -> bytes:
    """A checkpoint that says other leaves came first."""
    note = max(told.checkpoints, key=len)
    origin, size, _, *rest = note.decode().split("\n")
    root = b64encode(bytes(32)).decode()
    return "\n".join([origin, str(max(1, int(size) - 1)), root, *rest]).encode()


def lose_a_request(told: Told) -> None:
    del told.asked[0]


def invent_a_request(told: Told) -> None:
    told.asked[1].request.request_id = str(UUID(int=1, version=4))
    told.asked[1].accepted = None


def invent_a_sample(told: Told) -> None:
    sample = next(iter(told.samples["models/a"].values()))
    told.samples["models/a"]["another"] = sample


def change_a_sample(told: Told) -> None:
    sample = told.samples["models/b"]["core-0"]
    sample.label = (sample.label + 1) % len(CLASSES)


def claim_another_count(told: Told) -> None:
    for asked in told.asked:
        asked.samples = {model: {*names, "more"} for model, names in asked.samples.items()}


def claim_that_all_was_withdrawn(told: Told) -> None:
    for asked in told.asked:
        asked.withdrawn = True


def show_another_history(told: Told) -> None:
    told.checkpoints.add(forged(told))


LIES = [
    lose_a_request,
    invent_a_request,
    invent_a_sample,
    change_a_sample,
    claim_another_count,
    claim_that_all_was_withdrawn,
    show_another_history,
]


def test_the_checker_finds_nothing_where_nothing_is_wrong(servers: Servers, told: Told) -> None:
    checked = Checker(servers.address, told, servers.data_dir / "log").check()
    assert checked.mismatches == ()


@pytest.mark.parametrize("lie", LIES)
def test_the_checker_finds_what_does_not_agree(servers: Servers, told: Told, lie: Any) -> None:
    believed = Told(
        samples=defaultdict(dict, {model: deepcopy(held) for model, held in told.samples.items()}),
        asked=deepcopy(told.asked),
        checkpoints=set(told.checkpoints),
    )
    lie(believed)
    assert Checker(servers.address, believed, servers.data_dir / "log").check().mismatches
