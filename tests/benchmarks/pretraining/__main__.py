"""Makes the cores and compares them, one result at a time; what is there is not done again.

Run with `make bench-pretraining`. Results are files in a folder of runs, in which what was stopped
goes on: to do one anew, remove all that has its name there.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from tests.benchmarks import machine
from tests.benchmarks.files import RESULTS, write
from tests.benchmarks.pretraining import choices, few_shot, payoff, probes, sets
from tests.benchmarks.pretraining.features import Seen
from tests.benchmarks.pretraining.making import make
from tests.benchmarks.pretraining.page import PLOT, page
from tests.benchmarks.pretraining.plans import EVERY_PLAN
from tests.benchmarks.pretraining.plot import save
from tests.benchmarks.pretraining.report import Report

PACKAGES = ("numpy", "scipy", "torch", "scikit-learn", "pillow")

COMPARISONS: Mapping[str, Callable[[Seen], dict[str, Any]]] = {
    "few_shot": few_shot.measure,
    "probes": probes.measure,
    "payoff": payoff.measure,
    "choices": choices.measure,
}

console = Console(stderr=True)


@click.command()
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path(".pretraining_cache"),
    show_default=True,
    help="Where each run keeps what it has made.",
)
@click.option(
    "--only", multiple=True, help="A core or a comparison; by default all, and then the page."
)
def main(runs: Path, only: tuple[str, ...]) -> None:
    """Makes, measures, prints and writes."""
    runs.mkdir(parents=True, exist_ok=True)
    found = {name: _done(name, runs) for name in only or (*EVERY_PLAN, *COMPARISONS)}
    if not only:
        report = Report(
            machine.describe(PACKAGES),
            {name: sets.dataset(name).words for name in (sets.FASHION, sets.DIGITS, sets.STAMPS)},
            {name: found[name] for name in EVERY_PLAN},
            **{name: found[name] for name in COMPARISONS},
        )
        write(RESULTS, "pretraining", report.values(), page(report))
        save(report, RESULTS / PLOT)


def _done(name: str, runs: Path) -> dict[str, Any]:
    with console.status(name) as status:
        if name in EVERY_PLAN:
            found = make(runs, name, lambda done, of: status.update(f"{name}: {done} of {of}"))
        else:
            found = _compared(name, runs)
    console.print(f"{name} is done")
    return found


def _compared(name: str, runs: Path) -> dict[str, Any]:
    result = runs / f"{name}.json"
    if not result.exists():
        result.write_text(json.dumps(COMPARISONS[name](Seen(runs)), indent=2))
    found: dict[str, Any] = json.loads(result.read_text())
    return found


if __name__ == "__main__":
    main()
