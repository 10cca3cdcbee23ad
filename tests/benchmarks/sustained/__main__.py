"""Measures a server under sustained load on both databases, and writes what it saw.

Run with `make bench-load`. With another length the results that stand are left as they are.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import click
from rich.console import Console

from tests import postgres
from tests.benchmarks import machine
from tests.benchmarks.files import RESULTS, write
from tests.benchmarks.sustained.measuring import Measured, measure
from tests.benchmarks.sustained.page import Report, page
from tests.benchmarks.sustained.plot import save

PACKAGES = ("grpcio", "sqlalchemy", "psycopg", "numpy")
MINUTES = 10.0

console = Console(stderr=True)


@click.command()
@click.option("--minutes", default=MINUTES, show_default=True, help="Below the peak.")
def main(minutes: float) -> None:
    """Measures, writes and prints; exits with 1 if anything acknowledged was not done."""
    here, commit = machine.describe(PACKAGES), machine.commit()
    with postgres.running(durable=True) as running:
        database = ["--database", running.new_database()]
        measured = {
            "SQLite": _measured("SQLite", minutes),
            "PostgreSQL": _measured("PostgreSQL", minutes, database),
        }
    report = Report(here, commit, measured)
    folder = RESULTS if minutes == MINUTES else Path(mkdtemp())
    write(folder, "load", asdict(report), page(report))
    save(measured, folder / "load.svg")
    console.print(page(report), f"written to {folder}", sep="\n", markup=False)
    sys.exit(1 if report.failures else 0)


def _measured(what: str, minutes: float, options: Sequence[str] = ()) -> Measured:
    with console.status(what), TemporaryDirectory() as folder:
        return measure(Path(folder), minutes, options)


if __name__ == "__main__":
    main()
