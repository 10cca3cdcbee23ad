"""A TANGENT model of the core's head: how it is solved, forgets, and pays for noise.

Run with `make bench-tangent`; `--quick` tries little, to see that it works.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic
from typing import Any

import click
from rich.console import Console
from rich.progress import track

from tests.benchmarks import datasets, machine, tangent_noise
from tests.benchmarks.machine import Machine
from tests.benchmarks.report import RESULTS, write
from tests.benchmarks.tangent_noise import DRAWS, HARMLESS, Sweep, sweep
from tests.benchmarks.tangent_solving import (
    BATCH,
    EPOCHS,
    MOST_ITERATIONS,
    PRECONDITIONERS,
    RATE,
    TOLERANCE,
    Erasure,
    Solve,
    erase,
    solve,
)
from tests.benchmarks.tangent_task import SCOPE, Tangent, Task
from tests.benchmarks.words import duration, table
from unlearning import cores
from unlearning.information import ADVISED_NATS
from unlearning.newton import ACCURACY
from unlearning.objective import DEFAULT_LABEL_SCALE, Noise

CORE = "efficientnet-lite0"
ROWS, CORE_ROWS, TEST_ROWS, ERASED = 160, 32, 300, 2
LARGER_RIDGE = 100.0
WANTED = 5.0
"""Times fewer iterations with a preconditioner than without."""

LAST_LAYER = "head:1x1"
PLOT = "tangent.svg"
PACKAGES = ("numpy", "scipy", "torch", "scikit-learn")

console = Console(stderr=True)


@dataclass(frozen=True)
class Report:
    """One run, of so many seconds; ``ridge`` is the one that erasure and noise are tried at."""

    machine: Machine
    sizes: dict[str, int]
    ridge: float
    seconds: float
    solves: list[Solve]
    erasure: Erasure
    sweeps: list[Sweep]
    features: dict[str, float]

    def values(self) -> dict[str, Any]:
        """JSON values, without the weights."""
        values = asdict(self)
        del values["erasure"]["weights"]
        return values


@click.command()
@click.option("--quick", is_flag=True, help="Little of everything, to see that it works.")
def main(quick: bool) -> None:
    """Measures and writes."""
    report = measure(20, 5, 60) if quick else measure(ROWS, CORE_ROWS, MOST_ITERATIONS)
    folder = Path(mkdtemp()) if quick else RESULTS
    write(folder, "tangent", report.values(), page(report))
    tangent_noise.save(report.sweeps, folder / PLOT)
    console.print(f"written to {folder} after {duration(report.seconds)}")


def measure(rows: int, core_rows: int, most: int) -> Report:
    """The whole run."""
    began, core = monotonic(), cores.load(CORE)
    here = machine.describe(PACKAGES)
    task = Task(core, datasets.digits(), rows, core_rows, TEST_ROWS)
    default, larger = (Tangent(task, ridge) for ridge in (core.tangent_ridge, LARGER_RIDGE))
    plan = [(one, name) for one in (default, larger) for name in PRECONDITIONERS]
    solves = [solve(*each, most) for each in track(plan, "solving", console=console)]
    erasure = erase(default, ERASED)
    model = default.model()
    gone = slice(core_rows, core_rows + ERASED)
    model.erase(default.psi[gone], task.labels[gone])
    sweeps = [sweep(default, erasure, model.hessian(), noise) for noise in Noise]
    features = {name: task.features_accuracy(name) for name in (core.feature_map, LAST_LAYER)}
    sizes = {
        "rows": rows,
        "core_rows": core_rows,
        "test_rows": TEST_ROWS,
        "erased": ERASED,
        "most_iterations": most,
        "weights": default.network.parameters,
        "outputs": default.network.outputs,
    }
    seconds = monotonic() - began
    return Report(here, sizes, core.tangent_ridge, seconds, solves, erasure, sweeps, features)


def page(report: Report) -> str:
    """Markdown."""
    sizes = report.sizes
    return "\n".join(
        [
            "# TANGENT: solving, forgetting, and what noise costs\n",
            f"scikit-learn's digits at 96 x 96 pixels, `{CORE}`, scope `{SCOPE}`, alpha "
            f"{DEFAULT_LABEL_SCALE:g}: {sizes['rows']} rows to train, {sizes['core_rows']} of "
            f"them CORE, {sizes['test_rows']} to test on; {sizes['weights']:,} weights, "
            f"{sizes['rows'] * sizes['outputs']:,} rows times outputs. The core's ridge for "
            f"TANGENT is {report.ridge:g}. One thread; all of it took "
            f"{duration(report.seconds)}; each time is that of one run, and "
            "the load average below says what else was running.\n",
            f"{report.machine.words}\n",
            "## Conjugate gradients\n",
            f"From zero to a residual of {TOLERANCE:g} ||J't||, with at most "
            f"{sizes['most_iterations']:,} iterations. Preconditioners see the CORE rows alone; "
            "the diagonal, taken exactly, and Nyström are of this benchmark only.\n",
            table(
                ["ridge", "preconditioner", "iterations", "to none's", "set-up", "solve"],
                _solves(report.solves),
            ),
            _verdict(report.solves),
            "## An erasure\n",
            f"{sizes['erased']} of {sizes['rows']} rows leave at ridge {report.ridge:g}. NEWTON "
            f"goes on from the optimum before, and both solves go to newton's own accuracy, "
            f"||g|| <= {ACCURACY:g} lam ||w|| / n. Fine-tuning: the head's convolution from its "
            f"ImageNet weights and a classifier from zero, cross-entropy, Adam at {RATE:g}, "
            f"{EPOCHS} epochs in batches of {BATCH}; it is another model, nothing bounds how far "
            "it is from an optimum, and nothing was tuned.\n",
            table(["", "iterations", "time", "test accuracy"], _works(report.erasure)),
            _compared(report.erasure),
            "## Noise on the release after it\n",
            f"mu of this one erasure, from a warm start. Accuracy is the mean of "
            f"{DRAWS[Noise.ISOTROPIC]} draws (ISOTROPIC) and {DRAWS[Noise.INVERSE_HESSIAN]} "
            "(INVERSE_HESSIAN), the same ones at every scale.\n",
            table(
                ["noise", "noise_scale", "mu", "nats", "best attack is right", "test accuracy"],
                _noises(report.sweeps),
            ),
            "\n".join([*map(_harmless, report.sweeps), ""]),
            f"![Nats and accuracy against noise_scale]({PLOT})\n",
            "## Beside FEATURES\n",
            table(["model", "test accuracy"], _beside(report)),
        ]
    )


def _solves(solves: list[Solve]) -> list[list[str]]:
    plain = {one.ridge: one for one in solves if one.preconditioner == "none"}
    return [
        [
            f"{one.ridge:g}",
            one.preconditioner,
            f"{one.iterations:,}" if one.reached else _capped(one),
            _ratio(one, plain[one.ridge]),
            duration(one.setup_seconds) if one.preconditioner != "none" else "-",
            duration(one.seconds),
        ]
        for one in solves
    ]


def _capped(one: Solve) -> str:
    return f"stopped after {one.iterations:,} at {one.residual:.1e}, by the recursion"


def _ratio(one: Solve, plain: Solve) -> str:
    known = one.reached and plain.reached
    return f"{one.iterations / plain.iterations:.2f}" if known else "-"


def _verdict(solves: list[Solve]) -> str:
    """The fewest iterations beside none's, at each ridge."""
    lines = []
    for ridge in dict.fromkeys(one.ridge for one in solves):
        mine = [one for one in solves if one.ridge == ridge and one.reached]
        plain = next((one for one in mine if one.preconditioner == "none"), None)
        if plain:
            best = min(mine, key=lambda one: one.iterations)
            gain = plain.iterations / best.iterations
            fewest = "none" if best is plain else f"{best.preconditioner}, {gain:.2g} times fewer"
            met = "reached" if gain >= WANTED else "missed"
            lines.append(f"- Ridge {ridge:g}: fewest with {fewest}; {WANTED:g} times is {met}.")
    why = (
        "- Rows times outputs are fewer than weights, so that H is lam I on most of the space: "
        "K-FAC and the diagonal do not know that, Nyström does."
    )
    return "\n".join([*lines, why, ""])


def _works(erasure: Erasure) -> list[list[str]]:
    return [
        [
            one.name,
            "-" if one.iterations is None else f"{one.iterations:,}",
            duration(one.seconds),
            f"{one.accuracy:.1%}",
        ]
        for one in erasure.works
    ]


def _compared(erasure: Erasure) -> str:
    warm, cold, tuned = erasure.works
    return (
        f"NEWTON took {warm.iterations / cold.iterations:.2f} of the iterations from zero and "
        f"{warm.seconds / tuned.seconds:.2g} times the time of fine-tuning. The erasure moved w "
        f"by {erasure.moved:.2g} ||w||; a gradient of {erasure.gradient_norm:.2g} is left, at "
        "most.\n"
    )


def _noises(sweeps: list[Sweep]) -> list[list[str]]:
    return [
        [
            one.noise,
            f"{point.scale:.1e}",
            f"{point.mu:.2g}",
            f"{point.nats:.2g}",
            f"{point.attack_accuracy:.2%}",
            f"{point.accuracy:.1%}",
        ]
        for one in sweeps
        for point in one.points
    ]


def _harmless(one: Sweep) -> str:
    point = one.harmless
    start = f"- {one.noise}: {ADVISED_NATS:g} nats take a noise_scale of {one.advised_scale:.2g}; "
    if point is None:
        return start + "every scale tried costs accuracy."
    met = "met" if point.nats <= ADVISED_NATS else "missed"
    return (
        f"{start}the largest tried that keeps accuracy within {100 * HARMLESS:g} points of "
        f"{one.accuracy:.1%} is {point.scale:.1e}, which leaves {point.nats:.1e} nats, "
        f"and at most {ADVISED_NATS:g} is {met}."
    )


def _beside(report: Report) -> list[list[str]]:
    tangent = [
        [f"TANGENT `{SCOPE}`, ridge {one.ridge:g}", f"{one.accuracy:.1%}"]
        for one in report.solves
        if one.preconditioner == "none" and one.accuracy is not None
    ]
    return tangent + [
        [f"FEATURES `{name}`, its default ridge", f"{accuracy:.1%}"]
        for name, accuracy in report.features.items()
    ]


if __name__ == "__main__":
    main()
