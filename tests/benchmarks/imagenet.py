"""The whole service at the size of ImageNet: its rows and classes, with generated features.

Run with `make bench-imagenet`; it needs some 10 GB where temporary files are. `--rows N`
tries it out on fewer, and leaves the results that stand as they are.
"""

from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from time import monotonic

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.benchmarks import machine
from tests.benchmarks.clients import PATIENCE, erase
from tests.benchmarks.data import class_names, stream
from tests.benchmarks.files import RESULTS, write
from tests.benchmarks.machine import Machine
from tests.benchmarks.samples import samples
from tests.benchmarks.server import Server, server
from tests.benchmarks.timing import Timed, seconds
from tests.benchmarks.words import duration, gigabytes, table
from unlearn_client import Client, Selection

ROWS, WIDTH, CLASSES = 1_281_167, 1281, 1000
SUBJECT_ROWS = 100
ERASURES = 30
MODEL = "imagenet"
SUBJECT = "one with many"

console = Console(stderr=True)


@dataclass(frozen=True)
class FirstLife:
    """Seconds that a client waited, and the server's memory.

    Attributes:
        adding: all rows, durable.
        release: the first one.
        one: each of several erasures of one row.
        subject: one erasure of all rows of one subject.
        peak_bytes: the most memory that the process had.
    """

    adding: float
    release: float
    one: Timed
    subject: float
    peak_bytes: int


@dataclass(frozen=True)
class SecondLife:
    """After the server was stopped.

    Attributes:
        start: until it answers again.
        one: an erasure of one row, for which the statistics are rebuilt from the rows.
        peak_bytes: the most memory that the process had.
    """

    start: float
    one: float
    peak_bytes: int


@dataclass(frozen=True)
class Report:
    """One run."""

    machine: Machine
    rows: int
    width: int
    classes: int
    first: FirstLife
    second: SecondLife
    database_bytes: int
    disk_bytes: int


@click.command()
@click.option("--rows", type=click.IntRange(2 * SUBJECT_ROWS), default=ROWS, show_default=True)
def main(rows: int) -> None:
    """Measures, prints and writes."""
    report = measure(rows)
    folder = RESULTS if rows == ROWS else Path(mkdtemp())
    write(folder, "imagenet", asdict(report), page(report))
    for what, measured in figures(report):
        console.print(f"{what}: {measured}")
    console.print(f"written to {folder}")


def measure(rows: int) -> Report:
    """Fills a server, erases, stops it and starts it again."""
    here = machine.describe()
    with TemporaryDirectory() as name:
        directory = Path(name)
        with server(directory) as running:
            first = _first_life(running, rows)
        stopped = monotonic()
        with server(directory) as running:
            second = _second_life(running, monotonic() - stopped)
        data = directory / "data"
        return Report(
            machine=here,
            rows=rows,
            width=WIDTH,
            classes=CLASSES,
            first=first,
            second=second,
            database_bytes=(data / "unlearn.db").stat().st_size,
            disk_bytes=sum(512 * file.stat().st_blocks for file in data.iterdir()),
        )


def _first_life(running: Server, rows: int) -> FirstLife:
    with Client(running.address, timeout=PATIENCE) as client:
        client.create_model(MODEL, f"features:{WIDTH - 1}", class_names(CLASSES))
        adding = seconds(lambda: _add(client, rows))
        with console.status("the first release"):
            release = seconds(lambda: client.create_release(MODEL))
        with console.status("erasures"):
            one = [
                seconds(partial(_erase_one, client, i))
                for i in range(SUBJECT_ROWS, SUBJECT_ROWS + ERASURES)
            ]
            everyone = Selection.subjects([SUBJECT])
            subject = seconds(lambda: erase(client, everyone, SUBJECT_ROWS))
    return FirstLife(adding, release, Timed.of(one), subject, running.peak_bytes)


def _second_life(running: Server, start: float) -> SecondLife:
    last = SUBJECT_ROWS + ERASURES
    with (
        Client(running.address, timeout=PATIENCE) as client,
        console.status("an erasure after the server was started again"),
    ):
        one = seconds(lambda: _erase_one(client, last))
    return SecondLife(start, one, running.peak_bytes)


def _add(client: Client, rows: int) -> None:
    blocks = stream(rows, WIDTH, CLASSES)
    pairs = chain.from_iterable(zip(*block, strict=True) for block in blocks)
    with Progress(
        TextColumn("rows"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f} /s"),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("rows", total=rows, rate=0.0)
        began = monotonic()

        def advance(added: int) -> None:
            progress.update(task, completed=added, rate=added / (monotonic() - began))

        client.add_samples(MODEL, samples(pairs, _subject_of), advance)


def _subject_of(i: int) -> str:
    return SUBJECT if i < SUBJECT_ROWS else f"subject {i}"


def _erase_one(client: Client, i: int) -> None:
    erase(client, Selection.samples([f"sample {i}"]), 1)


def page(report: Report) -> str:
    """The results in Markdown."""
    return "\n".join(
        [
            "# The service at ImageNet's size\n",
            f"{report.rows:,} rows of width {report.width:,} with the constant, "
            f"{report.classes:,} classes, generated features, streamed by one client to a server "
            "on the same machine. An erasure counts from CreateErasure to SUCCEEDED, durable.\n",
            f"{report.machine.words}\n",
            table(["what", "measured"], figures(report)),
        ]
    )


def figures(report: Report) -> list[list[str]]:
    """What was measured, in words."""
    first, second = report.first, report.second
    return [
        ["rows added, durable", duration(first.adding)],
        ["rows added a second", f"{report.rows / first.adding:,.0f}"],
        ["the first release, proven", duration(first.release)],
        [f"one row erased, median of {first.one.runs}", duration(first.one.seconds)],
        [f"{SUBJECT_ROWS} rows of one subject erased", duration(first.subject)],
        ["server started again, until it answers", duration(second.start)],
        ["one row erased then, the statistics rebuilt from the rows", duration(second.one)],
        ["peak memory of the server", gigabytes(first.peak_bytes)],
        ["the same after it was started again", gigabytes(second.peak_bytes)],
        ["database file", gigabytes(report.database_bytes)],
        ["disk that the data directory takes", gigabytes(report.disk_bytes)],
    ]


if __name__ == "__main__":
    main()
