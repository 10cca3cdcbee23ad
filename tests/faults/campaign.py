"""A load, one fault after another, and the checks at the end."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic

from tests.faults.callers import Caller
from tests.faults.checker import Checked, Checker
from tests.faults.faults import Fault
from tests.faults.load import load
from tests.faults.servers import Servers
from tests.faults.told import Told

CLIENTS = 4


@dataclass
class Tally:
    """What came to pass during the faults of one kind.

    Attributes:
        faults: how many there were.
        calls: answered.
        retries: calls made again, their answers lost or an error.
    """

    faults: int = 0
    calls: int = 0
    retries: int = 0

    def add(self, calls: int, retries: int) -> None:
        self.faults += 1
        self.calls += calls
        self.retries += retries


@dataclass(frozen=True)
class Summary:
    """What one campaign did and found.

    Attributes:
        tallies: by kind of fault.
        starts: of the server.
        calls: answered.
        retries: calls made again, their answers lost.
        predictions: among the calls.
        checked: the checker's comparison.
        fsck: its findings; empty if all is sound.
        seconds: all of it.
    """

    tallies: dict[str, Tally]
    starts: int
    calls: int
    retries: int
    predictions: int
    checked: Checked
    fsck: str
    seconds: float

    @property
    def mismatches(self) -> list[str]:
        return [*self.checked.mismatches, *filter(None, [self.fsck])]


def campaign(
    directory: Path,
    faults: Sequence[Fault],
    *,
    before_anything: Sequence[Fault] = (),
    seed: int,
    clients: int = CLIENTS,
    options: Sequence[str] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Puts a new server through faults under load, lets it finish, and checks it.

    Args:
        directory: where its data directory will be.
        faults: in this order.
        before_anything: faults before there is a model, when nobody asks for anything.
        seed: of what the clients do; not of what the machine makes of it.
        clients: how many at a time.
        options: what to tell ``serve`` besides.
        progress: told how many faults are over.
    """
    started, servers, told = monotonic(), Servers(directory, options), Told()
    log = servers.data_dir / "log"
    tallies: defaultdict[str, Tally] = defaultdict(Tally)

    def strike(fault: Fault) -> None:
        calls, retries = told.calls, told.retries
        fault.happen(servers, told)
        tallies[fault.kind].add(told.calls - calls, told.retries - retries)

    try:
        for fault in before_anything:
            strike(fault)
        with servers.up():
            Caller(servers.address, told, Random(seed)).found()
        stop = load(servers.address, told, log, seed, clients)
        for done, fault in enumerate(faults, 1):
            strike(fault)
            progress(done)
            if told.violations:
                break
        with servers.up():
            stop()
            checked = Checker(servers.address, told, log).check()
        fsck = servers.fsck()
    finally:
        servers.close()
    return Summary(
        tallies=dict(tallies),
        starts=servers.starts,
        calls=told.calls,
        retries=told.retries,
        predictions=told.predictions,
        checked=checked,
        fsck=fsck,
        seconds=monotonic() - started,
    )
