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
from rich.console import Console
from rich.progress import track

from tests.benchmarks import machine, tangent_contenders
from tests.benchmarks.contenders import (
    CORE,
    REQUEST_ROWS,
    REQUESTS,
    ROWS,
    TEST,
    Contender,
    contenders,
)
from tests.benchmarks.core_share import core_share_table, errors_after_zero
from tests.benchmarks.files import RESULTS, write
from tests.benchmarks.forgetting_plot import save_forgetting
from tests.benchmarks.machine import Machine
from tests.benchmarks.tangent_contenders import NOISE_SCALE
from tests.benchmarks.words import table
from unlearning.readouts.result import ReadOut, ReadOuts
from unlearning.readouts.run import read_out

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
    tried = [1, REQUESTS] if quick else range(1, REQUESTS + 1)
    exact = contenders(tried, 20, 40) if quick else contenders(tried, 100, 256)
    sizes = tangent_contenders.QUICK if quick else tangent_contenders.FULL
    linearized = tangent_contenders.tangent_contenders(sizes)
    runs, tangent_runs = _runs(exact), _runs(linearized)
    folder = Path(mkdtemp()) if quick else RESULTS
    after_zero = errors_after_zero(exact[0].model, ROWS)
    values = {
        "machine": asdict(here),
        "runs": [run.to_json() for run in runs],
        "tangent runs": [run.to_json() for run in tangent_runs],
        "test errors after ZERO by share of CORE": after_zero,
    }
    write(folder, "forgetting", values, page(here, runs, tangent_runs, after_zero))
    save_forgetting(series(runs), folder / PLOT)
    console.print(f"written to {folder}")
    as_they_must = all(run.as_it_must for run in [*runs, *tangent_runs])
    sys.exit(0 if as_they_must else "a claim was refuted, or a control not")


def _runs(compared: list[Contender]) -> list[Run]:
    plan = [(contender, requests) for contender in compared for requests in contender.tried]
    return [_run(*each) for each in track(plan, "read-outs", console=console)]


def _run(contender: Contender, requests: int) -> Run:
    found = read_out(
        contender.model,
        contender.samples(requests),
        contender.bound(requests),
        shadows=contender.shadows,
        pairs=contender.pairs,
    )
    return Run(contender.name, contender.control, requests, found)


def series(runs: list[Run]) -> dict[str, list[ReadOuts]]:
    """The read-outs of each contender, request by request."""
    names = dict.fromkeys(run.contender for run in runs)
    return {name: [run.read_outs for run in runs if run.contender == name] for name in names}


def page(
    here: Machine, runs: list[Run], tangent_runs: list[Run], after_zero: dict[float, float]
) -> str:
    """Markdown."""
    first, tangent = runs[0].read_outs, tangent_runs[-1].read_outs
    return "\n".join(
        [
            "# Forgetting: what could refute it\n",
            f"scikit-learn's digits, 64 pixels a row: {CORE} CORE rows, {ROWS - CORE:,} of users, "
            f"{TEST} to test on. {REQUESTS} requests of {REQUEST_ROWS} rows each (1 % of the "
            "users'), one after another; after each, everything asked for so far is attacked.\n",
            f"{here.words}\n",
            "## Verdicts\n",
            table(
                ["model", "claims", "tried after requests", "refuted after"],
                _verdicts([*runs, *tangent_runs]),
            ),
            f"## After all {REQUESTS} requests\n",
            "Measured, with its interval; in brackets what is permitted. **Bold**: refuted.\n",
            _figures(runs),
            f"![Read-outs against the number of erased samples]({PLOT})\n",
            "## TANGENT\n",
            f"Digits at 96 x 96 pixels, scope `head`, noise_scale {NOISE_SCALE:g}: "
            f"{tangent.retained + tangent.erased} rows, {tangent.test} to test on, and {REQUESTS} "
            "requests for one row each. Each NEWTON goes on from the one before, so that what they "
            "leave adds up; it is permitted what the bound permits that the last release states. "
            "The control is held against the same.\n",
            _figures(tangent_runs),
            "## What ZERO leaves\n",
            "The same rows, of which some are CORE (means over random choices of which); all user "
            "data are forgotten at once.\n",
            core_share_table(after_zero),
            "## Limits\n",
            f"- All intervals of one run hold together with {first.confidence:.0%} confidence "
            "(Bonferroni); the runs of this page are not corrected for their number.",
            f"- Attacks learn from {first.shadows} worlds and are tried in {first.pairs} (TANGENT: "
            f"{tangent.shadows} and {tangent.pairs}, since every release is solved for). Without "
            "noise each world retains the CORE rows and a random half of the users'; a world's "
            "two releases are of the same rows. With noise all worlds are of the same rows.",
            "- Errors, verdicts, distances and relearn steps of a model without noise must be "
            "retraining's exactly.",
            "- Controls are held against the claims of the models beside them, to show that these "
            "experiments can fail.",
            "",
        ]
    )


def _verdicts(runs: list[Run]) -> list[list[str]]:
    rows = []
    for name, read_outs in series(runs).items():
        mine = [run for run in runs if run.contender == name]
        refuted = [str(run.requests) for run in mine if not run.read_outs.passed]
        claims = "nothing: it is a control" if mine[0].control else _claim(read_outs[-1])
        tried = ", ".join(str(run.requests) for run in mine)
        rows.append([name, claims, tried, ", ".join(refuted) or "none"])
    return rows


def _claim(read_outs: ReadOuts) -> str:
    best = read_outs.attack_accuracy
    if best == 0.5:
        return "0 nats are left"
    return f"the best attack on the last release is right {best:.1%} of the time, at most"


def _figures(runs: list[Run]) -> str:
    last = [run for run in runs if run.requests == REQUESTS]
    every = [(*run.read_outs.comparisons, *run.read_outs.attacks) for run in last]
    rows = [[same[0].name, *map(_figure, same)] for same in zip(*every, strict=True)]
    return table(["read-out", *(run.contender for run in last)], rows)


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
