"""Measures the engine and the service beside their peers, in one run, and writes the results.

Run with `make bench`. Speeds are medians on whatever machine this is; read the ratios.
"""

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import engine, service
from tests.benchmarks.data import generate

RESULTS = Path(__file__).parent / "results"
N, D, CLASSES = 60_000, 1281, 10

console = Console(stderr=True)


@dataclass(frozen=True)
class Line:
    """One comparison: what was measured, what beside, and their ratio with the goal for it."""

    what: str
    ours: str
    beside: str
    ratio: str
    goal: str


def main() -> None:
    """Measures, prints and writes."""
    with console.status(f"generating {N} rows of width {D}"):
        data = generate(N, D, CLASSES)
    with console.status("measuring the engine"):
        alone = engine.measure(data)
    with console.status("measuring the service"):
        whole = service.measure(data, erasures=30)
    lines = _lines(alone, whole)
    RESULTS.mkdir(exist_ok=True)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    report = {
        "machine": machine,
        "n": N,
        "d": D,
        "classes": CLASSES,
        "engine": alone,
        "service": whole,
        "lines": [asdict(line) for line in lines],
    }
    (RESULTS / "exact.json").write_text(json.dumps(report, indent=2) + "\n")
    table = _table(lines, machine)
    (RESULTS / "exact.md").write_text(table)
    Console().print(table)


def _lines(alone: dict[str, float], whole: dict[str, float]) -> list[Line]:
    fit = alone["statistics"] / alone["product"]
    erase = alone["refit"] / alone["erase"]
    service_erase = alone["refit"] / whole["erase"]
    rows = whole["rows_per_second"]
    return [
        Line(
            "fit from stored features, beside one float64 X.T @ X",
            f"{alone['statistics']:.2f} s",
            f"{alone['product']:.2f} s",
            f"{fit:.2f} x the time",
            "at most 2 x",
        ),
        Line(
            "engine: one row erased and proven, beside a Ridge refit",
            f"{alone['erase'] * 1e3:.1f} ms",
            f"{alone['refit'] * 1e3:.0f} ms",
            f"{erase:.0f} x faster",
            "-",
        ),
        Line(
            "service: CreateErasure to SUCCEEDED, durable, beside a Ridge refit",
            f"{whole['erase'] * 1e3:.1f} ms",
            f"{alone['refit'] * 1e3:.0f} ms",
            f"{service_erase:.0f} x faster",
            "at least 10 x",
        ),
        Line("rows added over gRPC, durable", f"{rows:.0f} /s", "-", "-", "at least 5,000 /s"),
        Line(
            "engine memory beside d^2 float64, with one block of rows",
            f"{alone['memory']:.1f} d^2",
            "-",
            "-",
            "at most 6 d^2 and a block",
        ),
    ]


def _table(lines: list[Line], machine: str) -> str:
    rows = [
        f"| {line.what} | {line.ours} | {line.beside} | {line.ratio} | {line.goal} |"
        for line in lines
    ]
    head = "| what | ours | beside | ratio | goal |\n| --- | --- | --- | --- | --- |\n"
    title = f"n = {N:,}, d = {D:,}, {CLASSES} classes, generated features; {machine}; medians.\n\n"
    return title + head + "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
