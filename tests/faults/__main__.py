"""The long form: rounds of kills, stops and bad disks, checked after each; writes what it counted.

Run with `make faults`; `--rounds 1` is over in a few minutes.
"""

import sys
from collections.abc import Sequence
from errno import EIO, ENOSPC
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.benchmarks import machine
from tests.benchmarks.report import RESULTS, write
from tests.faults.campaign import campaign
from tests.faults.faults import (
    STARTUP,
    UNDER_LOAD,
    Fault,
    failing_at,
    held_up_at,
    killed_any_time,
    killed_at,
    terminated,
)
from tests.faults.report import Totals
from tests.faults.storage import COMPILER, compiled, failing, files_cannot_grow
from unlearn_server.failpoints import Failpoint

PACKAGES = ("grpcio", "sqlalchemy", "numpy")
AT_FAILPOINTS = "kills at failpoints"
_OFTEN = ("accept", "certify", "erase", "ingest")
"""What comes by with each request; the rest comes by now and then."""

_AFTER_A_START = [point for point in UNDER_LOAD if not point.startswith("publish.")]
"""A server publishes before it serves, and does not start where it cannot."""

console = Console(stderr=True)


@click.command()
@click.option("--rounds", default=4, show_default=True, help="Campaigns, each with every fault.")
@click.option("--kills", default=40, show_default=True, help="Kills at any moment, a round.")
@click.option("--seed", default=0, show_default=True, help="Of what clients do, and when.")
@click.option("--serve", "options", multiple=True, help="What to tell the server besides.")
def main(rounds: int, kills: int, seed: int, options: Sequence[str]) -> None:
    """Attacks, counts and writes; exits with 1 if anything does not agree."""
    totals = Totals(machine.describe(PACKAGES))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with (
        Progress(*columns, TimeElapsedColumn(), console=console) as bar,
        TemporaryDirectory() as tmp,
    ):
        for number in range(rounds):
            task = bar.add_task(f"round {number + 1} of {rounds}", total=None)
            folder = Path(tmp) / str(number)
            folder.mkdir()
            rng = Random(seed + number)
            faults = _faults(rng, kills, folder)
            summary = campaign(
                folder,
                [fault for _, fault in faults],
                before_anything=[killed_at(point) for point in STARTUP],
                seed=seed + number,
                options=options,
                progress=lambda done, of, task=task: bar.update(task, completed=done, total=of),
            )
            totals.add([*(AT_FAILPOINTS for _ in STARTUP), *(kind for kind, _ in faults)], summary)
            bar.update(task, completed=len(faults), total=len(faults))
    write(RESULTS, "faults", totals.values(), totals.page())
    console.print(f"{len(totals.mismatches)} mismatches; written to {RESULTS}")
    sys.exit(1 if totals.mismatches else 0)


def _faults(rng: Random, kills: int, folder: Path) -> list[tuple[str, Fault]]:
    """Every fault there is, by kind, in any order."""
    faults = [
        *((AT_FAILPOINTS, killed_at(p, rng.randint(1, _late(p)))) for p in UNDER_LOAD),
        *(("kills at any moment", killed_any_time(rng)) for _ in range(kills)),
        *(("SIGTERM under load", terminated(rng)) for _ in range(5)),
        *(("errors at failpoints", failing_at(p, 2, 60)) for p in _AFTER_A_START),
        *(("steps held up", held_up_at(p, 0.1, 400)) for p in UNDER_LOAD),
        *(("files that cannot grow", files_cannot_grow()) for _ in range(3)),
    ]
    if COMPILER:
        library = compiled(folder)
        faults += [
            (f"{call} fails", failing(library, call, error, every))
            for call, error in (("write", EIO), ("write", ENOSPC), ("fsync", EIO))
            for every in (5, 11)
        ]
    rng.shuffle(faults)
    return faults


def _late(point: Failpoint) -> int:
    """The last time that one waits for a place to be reached."""
    return 20 if point.startswith(_OFTEN) else 3


if __name__ == "__main__":
    main()
