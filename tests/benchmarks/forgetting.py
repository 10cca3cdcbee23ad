"""Ten requests to forget one after another, and every experiment that could refute them.

Run with `make bench-forgetting`; `--quick` tries little, to see that it works. Ends with an
error if a read-out refutes a claim, or if a model that only seems to forget is not found out.
"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import track

from tests.benchmarks import machine
from tests.benchmarks.contenders import CORE, ROWS, TEST, Contender, contenders
from tests.benchmarks.core_share import core_share_table, errors_after_zero
from tests.benchmarks.forgetting_plot import save_forgetting
from tests.benchmarks.machine import Machine
from tests.benchmarks.report import RESULTS, write
from tests.benchmarks.words import table
from unlearning.readouts.model import Samples
from unlearning.readouts.result import ReadOut, ReadOuts
from unlearning.readouts.run import read_out

REQUESTS = 10
REQUEST_ROWS = (ROWS - CORE) // 100
PLOT = "forgetting.svg"

console = Console(stderr=True)


@dataclass(frozen=True)
class Run:
    """One contender after some of the requests."""

    contender: str
    control: bool
    requests: int
    read_outs: ReadOuts

    @property
    def as_it_must(self) -> bool:
        """Whether nothing refutes the claim, or, of a control, something does."""
        return self.read_outs.passed is not self.control

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {**vars(self), "read_outs": self.read_outs.to_json()}


@click.command()
@click.option("--quick", is_flag=True, help="Little of everything, to see that it works.")
def main(quick: bool) -> None:
    """Measures, writes and judges."""
    here = machine.describe()
    effort = {"shadows": 20, "pairs": 40} if quick else {}
    done = [1, REQUESTS] if quick else range(1, REQUESTS + 1)
    plan = [(contender, requests) for contender in contenders() for requests in done]
    runs = [_run(*each, effort) for each in track(plan, "read-outs", console=console)]
    folder = Path(mkdtemp()) if quick else RESULTS
    after_zero = errors_after_zero(contenders()[0].model, ROWS)
    values = {
        "machine": asdict(here),
        "runs": [run.to_json() for run in runs],
        "test errors after ZERO by share of CORE": after_zero,
    }
    write(folder, "forgetting", values, page(here, runs, after_zero))
    save_forgetting(series(runs), folder / PLOT)
    console.print(f"written to {folder}")
    sys.exit(0 if all(run.as_it_must for run in runs) else "a claim was refuted, or a control not")


def _run(contender: Contender, requests: int, effort: dict[str, int]) -> Run:
    """The first users' rows are asked for first."""
    model = contender.model
    erased = np.split(np.arange(CORE, CORE + requests * REQUEST_ROWS), requests)
    test = np.arange(ROWS, ROWS + TEST)
    samples = Samples.of(model.labels, model.is_core, erased, test)
    found = read_out(model, samples, contender.bound(requests), **effort)
    return Run(contender.name, contender.control, requests, found)


def series(runs: list[Run]) -> dict[str, list[ReadOuts]]:
    """The read-outs of each contender, request by request."""
    names = dict.fromkeys(run.contender for run in runs)
    return {name: [run.read_outs for run in runs if run.contender == name] for name in names}


def page(here: Machine, runs: list[Run], after_zero: dict[float, float]) -> str:
    """Markdown."""
    last = [run for run in runs if run.requests == REQUESTS]
    first = runs[0].read_outs
    return "\n".join(
        [
            "# Forgetting: what could refute it\n",
            f"scikit-learn's digits, 64 pixels a row: {CORE} CORE rows, {ROWS - CORE:,} of users, "
            f"{TEST} to test on. {REQUESTS} requests of {REQUEST_ROWS} rows each (1 % of the "
            "users'), one after another; after each, everything asked for so far is attacked.\n",
            f"{here.words}\n",
            "## Verdicts\n",
            table(["model", "claims", "requests after which 0 nats were refuted"], _verdicts(runs)),
            f"## After all {REQUESTS} requests\n",
            "Measured, with its interval; in brackets what is permitted. **Bold**: refuted.\n",
            table(["read-out", *(run.contender for run in last)], _figures(last)),
            f"![Read-outs against the number of erased samples]({PLOT})\n",
            "## What ZERO leaves\n",
            "The same rows, of which some are CORE (means over random choices of which); all user "
            "data are forgotten at once.\n",
            core_share_table(after_zero),
            "## Limits\n",
            f"- All intervals of one run hold together with {first.confidence:.0%} confidence "
            "(Bonferroni); the runs of this page are not corrected for their number.",
            f"- Attacks learn from {first.shadows} worlds and are tried in {first.pairs}. Without "
            "noise each world retains the CORE rows and a random half of the users'; a world's "
            "two releases are of the same rows.",
            "- Errors, verdicts, distances and relearn steps of a model without noise must be "
            "retraining's exactly.",
            "- Controls are held against the claim that exact forgetting makes, to show that "
            "these experiments can fail.",
            "",
        ]
    )


def _verdicts(runs: list[Run]) -> list[list[str]]:
    rows = []
    for name in series(runs):
        mine = [run for run in runs if run.contender == name]
        refuted = [str(run.requests) for run in mine if not run.read_outs.passed]
        claims = "nothing: it is a control" if mine[0].control else "0 nats are left"
        rows.append([name, claims, ", ".join(refuted) or "none"])
    return rows


def _figures(runs: list[Run]) -> list[list[str]]:
    every = [(*run.read_outs.comparisons, *run.read_outs.attacks) for run in runs]
    return [[same[0].name, *map(_figure, same)] for same in zip(*every, strict=True)]


def _figure(one: ReadOut) -> str:
    measured, permitted = one.measured, one.permitted
    words = f"{measured.value:.3g}"
    if measured.low < measured.high:
        words += f" ({measured.low:.3g} to {measured.high:.3g})"
    if one.finding != "WITHIN":
        words = f"**{words}**"
    return f"{words} [{permitted.low:.3g} to {permitted.high:.3g}]"


if __name__ == "__main__":
    main()
