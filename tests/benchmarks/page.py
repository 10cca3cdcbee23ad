"""A report as a page: tables, plots and what to keep in mind."""

from collections.abc import Sequence

from tests.benchmarks.certified_removal import REGULARISATION
from tests.benchmarks.lines import Line, of_service
from tests.benchmarks.load import BURST_CLIENTS, PRESSING_CLIENTS, PROCESSES
from tests.benchmarks.memory import ERASURES, ROWS_AT_ONCE
from tests.benchmarks.peers import SHARDS
from tests.benchmarks.report import Report
from tests.benchmarks.timing import LONG_SECONDS, MOST_RUNS, RUNS_A_TURN, TURNS
from tests.benchmarks.words import duration, gigabytes, table

SCALING, ROOFLINE = "scaling.svg", "roofline.svg"


def page(report: Report) -> str:
    """Markdown."""
    sizes = report.sizes
    return "\n".join(
        [
            "# Exact erasure: measured\n",
            f"n = {sizes.rows:,} rows of width d = {sizes.width:,} with the constant, "
            f"C = {sizes.classes} classes, generated features; medians.\n",
            f"{report.machine.words}\n",
            "## Goals\n",
            _goals(report.lines),
            *_on_postgresql(report),
            "## One row deleted, beside peers\n",
            _peers(report),
            "## Floors\n",
            _floors(report),
            "## Besides\n",
            _besides(report),
            "## How it grows\n",
            "![Seconds of an erasure and of a Ridge refit against the width, the rows erased, "
            f"the classes and the rows held]({SCALING})\n",
            f"![Rates of an erasure's passes under the machine's roofs]({ROOFLINE})\n",
            "## Limits\n",
            *(f"- {limit}" for limit in _limits(report)),
            "",
        ]
    )


def _on_postgresql(report: Report) -> list[str]:
    if report.postgresql is None:
        return []
    return [
        "## The service on PostgreSQL\n",
        "The same calls, with a PostgreSQL of its own on the same cores, as it is installed: it "
        "syncs each commit.\n",
        _goals(of_service(report.sizes, report.postgresql)),
    ]


def _goals(compared: Sequence[Line]) -> str:
    head = ["what", "ours", "beside", "figure", "must", "aim", "reached", "runs"]
    rows = [
        [
            *(line.what, line.ours, line.beside, line.figure),
            *(line.goal.words(line.goal.must), line.goal.words(line.goal.aim)),
            *(line.reached, line.runs),
        ]
        for line in compared
    ]
    return table(head, rows)


def _peers(report: Report) -> str:
    times, C = report.deletion.times, report.sizes.classes
    apart = {name: f"{value:.0e}" for name, value in report.deletion.differences.items()}
    words = {
        "engine": (
            "this engine",
            f"{C} outputs, correctly rounded and proven: the bits of a fresh fit",
        ),
        "refit": (
            "scikit-learn Ridge, refitted",
            f"{C} outputs in float64, {apart['RidgeRefit']} from ours",
        ),
        "online": (
            "polars-ds OnlineLR, updated",
            f"**one** output in float64, {apart['OnlineUpdate']} from ours and drifting",
        ),
        "sisa": (
            f"SISA, one of {SHARDS} shards refitted (Ridge)",
            f"{SHARDS} models that vote, each fitted to a part of the rows",
        ),
        "certified": (
            "certified removal, one Newton step",
            f"{C} logistic outputs, approximate: (ε, δ) while a budget lasts",
        ),
    }
    ours = times["engine"].seconds
    rows = [
        [
            *(what, duration(times[name].seconds), f"{times[name].seconds / ours:.2g} x"),
            *(answer, str(times[name].runs)),
        ]
        for name, (what, answer) in words.items()
    ]
    return table(["what", "one deletion", "our time", "what is had then", "runs"], rows)


def _floors(report: Report) -> str:
    floors = {
        **report.floors,
        "gRPC call that does nothing (ServerLive on this server)": report.service.echo,
    }
    rows = [[words, duration(time.seconds), str(time.runs)] for words, time in floors.items()]
    return table(["what", "time", "runs"], rows)


def _besides(report: Report) -> str:
    fits, inference = report.fits, report.service.inference
    rows = [
        ["fit and first release, proven", duration(fits["released"].seconds)],
        ["`ModelInfer`, 99 of 100 calls within, idle", duration(inference.idle.p99)],
        ["the same while erasures run", duration(inference.pressed.p99)],
        ["erasures a second meanwhile", f"{inference.erasures_per_second:.0f}"],
        ["peak memory of the server process", gigabytes(report.service.peak_bytes)],
    ]
    return table(["what", "figure"], rows)


def _limits(report: Report) -> list[str]:
    sizes = report.sizes
    return [
        "Features are class centres and Gaussian noise. How many digits a refinement gains "
        "depends a little on the data, hence so does a time.",
        "Clients and server share the cores and talk over the loopback interface; nothing else "
        "should run. Read ratios rather than times.",
        f"Rivals are called in turn: {TURNS} turns of {RUNS_A_TURN} runs, or of one where a run "
        f"takes more than {LONG_SECONDS:g} s, after one that does not count.",
        "NumPy and SciPy bring a BLAS each. Its threads are told to fall asleep soon after their "
        "work: else they slow the next rival, and a Ridge refit, which uses both, by a fifth. "
        "The server runs without that setting.",
        "Ridge is given float64 rows that it need not convert or copy.",
        "OnlineLR is given the inverse and the weights of one class, computed beforehand.",
        f"SISA trains a Ridge for each of {SHARDS} shards and keeps no slices.",
        "Certified removal is a logistic regression, one class against the rest, "
        f"lam = {REGULARISATION:g}. The Hessians of all rows are formed beforehand and not "
        "counted, though a second removal would need them anew; its error bound is counted.",
        f"The many erasures are sent over {BURST_CLIENTS} connections by {PROCESSES} processes, "
        "and the server may carry out together what waits together.",
        f"At full rate {PRESSING_CLIENTS} clients each wait for their erasure and send the next "
        "one, so that the server always has one to do.",
        f"Memory is the kernel's peak of a process beyond what it held before: a fit of rows "
        f"that come {ROWS_AT_ONCE:,} at once, a release, {ERASURES} erasures each with its "
        "release, rows that join, a release.",
        f"At d = {sizes.wide:,} the rows are as many, n = {sizes.rows:,}; with fewer a refit is "
        "faster, an erasure is not.",
        f"Rows stay erased: the longest sweep, {max(sizes.erased):,} rows at once, begins at "
        f"n = {sizes.rows:,} and ends with {sizes.rows - MOST_RUNS * max(sizes.erased):,}.",
        "One row: the pass over G takes four columns a class (three digits and the rest), 131 "
        "MFLOP at these sizes, 1.3 ms at the peak of both cores; the rest is vectors, Python, "
        "and columns that need a second step.",
        "A fit: NumPy's `X.T @ X` is itself a rank update at the machine's peak, the very call "
        "that the engine makes, so a fit cannot come below it.",
        "100 rows of one subject: of the server's time, a quarter is the product with the kept "
        "inverse, a tenth the update of G, a quarter two passes over it while it is hashed, all on "
        "the one BLAS thread that the server has on two cores so that predictions go on; the "
        "rest is rows, statements, the commit and gRPC. The inverse is updated after the answer.",
        "Many clients: an erasure costs the server some 4 ms of processor time, most of it "
        "Python's gRPC and the certificate; batches were 60 to 470 requests.",
        "The roofline counts the bytes of a triangle once for each time that it must be read or "
        "written, and none for vectors. The memory's bandwidth counts what a copy reads and "
        "writes, the cache's what a dot product reads.",
    ]
