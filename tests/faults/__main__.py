"""The long form: kills, stops, bad disks and lost databases; writes what it counted.

Run with `make faults`; `--kills 0` leaves out what takes the longest.
"""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests import postgres
from tests.benchmarks import machine
from tests.benchmarks.files import RESULTS, write
from tests.faults.campaign import Summary, campaign
from tests.faults.faults import STARTUP, Fault, killed_at
from tests.faults.plan import on_postgresql, on_sqlite
from tests.faults.report import Report

PACKAGES = ("grpcio", "sqlalchemy", "psycopg", "numpy")

console = Console(stderr=True)


@click.command()
@click.option("--kills", default=100, show_default=True, help="At any moment, on each database.")
@click.option("--seed", default=0, show_default=True, help="Of what clients do, and when.")
def main(kills: int, seed: int) -> None:
    """Attacks on both databases at once, counts and writes; exits with 1 if something disagrees."""
    here, commit = machine.describe(PACKAGES), machine.commit()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with (
        TemporaryDirectory() as name,
        postgres.running(durable=True) as running,
        Progress(*columns, TimeElapsedColumn(), console=console) as bar,
        ThreadPoolExecutor() as pool,
    ):
        sqlite, postgresql = (Path(name) / each for each in ("sqlite", "postgresql"))
        sqlite.mkdir()
        postgresql.mkdir()
        faults = on_postgresql(Random(seed), kills, postgresql, running)
        database = ["--database", running.new_database()]
        attacks = {
            "SQLite": (sqlite, on_sqlite(Random(seed), kills, sqlite), []),
            "PostgreSQL": (postgresql, faults, database),
        }
        at_once = {
            name: pool.submit(_attacked, bar, name, *attack, seed)
            for name, attack in attacks.items()
        }
        campaigns = {name: attack.result() for name, attack in at_once.items()}
    report = Report(here, commit, campaigns)
    write(RESULTS, "faults", report.values(), report.page())
    console.print(f"{len(report.mismatches)} mismatches; written to {RESULTS}")
    sys.exit(1 if report.mismatches else 0)


def _attacked(
    bar: Progress,
    what: str,
    folder: Path,
    faults: Sequence[Fault],
    options: Sequence[str],
    seed: int,
) -> Summary:
    task = bar.add_task(what, total=len(faults))
    return campaign(
        folder,
        faults,
        before_anything=[killed_at(point) for point in STARTUP],
        seed=seed,
        options=options,
        progress=lambda done: bar.update(task, completed=done),
    )


if __name__ == "__main__":
    main()
