"""Measures the engine and the service beside their peers, in one run, and writes the results.

Run with `make bench`, on a machine that does nothing else; `--quick` measures little of
everything, to see that it works.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic

import click
from rich.console import Console
from rich.table import Table

from tests.benchmarks import (
    deletion,
    engine,
    floors,
    machine,
    memory,
    roofline,
    service,
    sweeps,
    transparency,
)
from tests.benchmarks.data import generate
from tests.benchmarks.files import RESULTS, write
from tests.benchmarks.lines import Line, lines
from tests.benchmarks.page import ROOFLINE, SCALING, page
from tests.benchmarks.plots import save_roofline, save_sweeps
from tests.benchmarks.report import Report
from tests.benchmarks.sizes import FULL, QUICK, Sizes
from tests.benchmarks.words import duration

console = Console(stderr=True)


@click.command()
@click.option("--quick", is_flag=True, help="Little of everything, to see that it works.")
def main(quick: bool) -> None:
    """Measures, prints and writes."""
    report = measure(QUICK if quick else FULL)
    # What was measured in a hurry must not stand where results do.
    folder = Path(mkdtemp()) if quick else RESULTS
    write(folder, "exact", asdict(report), page(report))
    save_sweeps(report.sweeps, folder / SCALING)
    save_roofline(report.roofline, folder / ROOFLINE)
    console.print(summary(report.lines))
    console.print(f"written to {folder}")


def measure(sizes: Sizes) -> Report:
    """The whole run."""
    here = machine.describe()
    with step(f"{sizes.rows:,} rows of width {sizes.wide:,}: one erasure"):
        wide = deletion.beside_refit(generate(sizes.rows, sizes.wide, sizes.classes))
    with step(f"memory at width {sizes.wide:,}"):
        peak = memory.measure(sizes.wide, sizes.classes)
    with step(f"{sizes.rows:,} rows of width {sizes.width:,}: fits"):
        data = generate(sizes.rows, sizes.width, sizes.classes)
        fits = engine.fits(data)
    with step("one deletion beside peers"):
        deleted = deletion.measure(data)
    with step("floors"):
        least = floors.measure(sizes.width, sizes.classes)
    with step("the whole service"):
        whole = service.measure(data, sizes)
    with step("the whole service on PostgreSQL"):
        on_postgresql = service.measure_on_postgresql(data, sizes)
    with step(f"a log of {sizes.logs[-1]:,} certificates"):
        logged = transparency.measure(sizes.logs, data.objective)
    with step("the roofline"):
        roofs = roofline.measure(sizes.width, sizes.classes, sizes.peak)
    with step("sweep of widths"):
        widths = sweeps.by_width(sizes)
    with step("sweep of rows erased"):
        erased = sweeps.by_erased(sizes, data)
    with step("sweep of classes"):
        classes = sweeps.by_classes(sizes, data)
    with step("sweep of rows held"):
        held = sweeps.by_rows(sizes, data)
    return Report(
        machine=here,
        sizes=sizes,
        lines=lines(sizes, deleted, fits, wide, peak, whole, logged),
        deletion=deleted,
        fits=fits,
        wide=wide,
        memory=peak,
        service=whole,
        postgresql=on_postgresql,
        transparency=logged,
        floors=least,
        sweeps=[widths, erased, classes, held],
        roofline=roofs,
    )


def summary(compared: list[Line]) -> Table:
    """The goals at a glance."""
    table = Table("what", "ours", "beside", "figure", "reached")
    for line in compared:
        table.add_row(line.what, line.ours, line.beside, line.figure, line.reached)
    return table


@contextmanager
def step(words: str) -> Iterator[None]:
    """Says what is measured, and how long that took."""
    began = monotonic()
    with console.status(words):
        yield
    console.print(f"{words} ({duration(monotonic() - began)})")


if __name__ == "__main__":
    main()
