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

from tests.benchmarks import datasets, machine, tangent_ablation, tangent_noise
from tests.benchmarks.files import RESULTS, write
from tests.benchmarks.machine import Machine
from tests.benchmarks.tangent_ablation import (
    GAIN,
    PRODUCT,
    SHOTS,
    SLOPE,
    Ablation,
    ablate,
)
from tests.benchmarks.tangent_erasing import (
    BATCH,
    COLD,
    CONVERGED,
    CONVERGING,
    EPOCHS,
    NEWTON,
    RATE,
    REPEATS,
    TUNED,
    Erasure,
    erase,
)
from tests.benchmarks.tangent_noise import DRAWS, HARMLESS, Sweep, sweep
from tests.benchmarks.tangent_solving import (
    MOST_ITERATIONS,
    OURS,
    PLAIN,
    TOLERANCE,
    WAYS,
    Solve,
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
MORE_ROWS = 400
DEEPER_SCOPE, DEEPER_ROWS = "last:3", 60
LARGER_RIDGE = 100.0
WANTED = 5.0
"""Times fewer iterations with a preconditioner than without."""

LAST_LAYER = "head:1x1"
PLOT = "tangent.svg"
PACKAGES = ("numpy", "scipy", "torch", "scikit-learn")

console = Console(stderr=True)


@dataclass(frozen=True)
class Sizes:
    """Numbers of rows: to train on, of them CORE, in the larger task, and in the deeper scope."""

    rows: int = ROWS
    core_rows: int = CORE_ROWS
    more_rows: int = MORE_ROWS
    deeper_rows: int = DEEPER_ROWS
    most_iterations: int = MOST_ITERATIONS
    ablation: tangent_ablation.Sizes = tangent_ablation.SIZES


FULL = Sizes()
QUICK = Sizes(20, 5, 30, 10, 60, tangent_ablation.QUICK)


@dataclass(frozen=True)
class Report:
    """One run, of so many seconds.

    Attributes:
        ridge: that erasures and noise are tried at.
        weights, outputs: of the scope that they are tried at.
    """

    machine: Machine
    sizes: Sizes
    ridge: float
    weights: int
    outputs: int
    seconds: float
    solves: list[Solve]
    erasures: list[Erasure]
    sweeps: list[Sweep]
    features: dict[str, float]
    ablations: list[Ablation]

    def values(self) -> dict[str, Any]:
        """JSON values, without the weights."""
        values = asdict(self)
        for erasure in values["erasures"]:
            del erasure["weights"]
        return values


@click.command()
@click.option("--quick", is_flag=True, help="Little of everything, to see that it works.")
def main(quick: bool) -> None:
    """Measures and writes."""
    report = measure(QUICK if quick else FULL)
    folder = Path(mkdtemp()) if quick else RESULTS
    write(folder, "tangent", report.values(), page(report))
    tangent_noise.save(report.sweeps, folder / PLOT)
    console.print(f"written to {folder} after {duration(report.seconds)}")


def measure(sizes: Sizes) -> Report:
    """The whole run."""
    began, core = monotonic(), cores.load(CORE)
    here = machine.describe(PACKAGES)
    digits = datasets.digits()
    task, more, few = (
        Task(core, digits, rows, sizes.core_rows, TEST_ROWS)
        for rows in (sizes.rows, sizes.more_rows, sizes.deeper_rows)
    )
    default, larger = (Tangent(task, ridge) for ridge in (core.tangent_ridge, LARGER_RIDGE))
    most = Tangent(more, core.tangent_ridge)
    deeper = Tangent(few, core.tangent_ridge, DEEPER_SCOPE)
    plan = [(one, name) for one in (default, larger) for name in WAYS]
    plan += [(one, name) for one in (most, deeper) for name in (PLAIN, OURS)]
    watched = track(plan, "solving", console=console)
    solves = [solve(*each, sizes.most_iterations) for each in watched]
    erasures = [erase(one, ERASED) for one in (default, most)]
    model = default.model()
    gone = slice(sizes.core_rows, sizes.core_rows + ERASED)
    model.erase(default.psi[gone], task.labels[gone])
    return Report(
        machine=here,
        sizes=sizes,
        ridge=core.tangent_ridge,
        weights=default.network.parameters,
        outputs=default.network.outputs,
        solves=solves,
        erasures=erasures,
        sweeps=[sweep(default, erasures[0], model.hessian(), noise) for noise in Noise],
        features={name: task.features_accuracy(name) for name in (core.feature_map, LAST_LAYER)},
        ablations=ablate(core, sizes.ablation),
        seconds=monotonic() - began,
    )


def page(report: Report) -> str:
    """Markdown."""
    sizes = report.sizes
    return "\n".join(
        [
            "# TANGENT: solving, forgetting, and what noise costs\n",
            f"scikit-learn's digits at 96 x 96 pixels, `{CORE}`, scope `{SCOPE}` where no other is "
            f"named, alpha {DEFAULT_LABEL_SCALE:g}: {sizes.rows} rows to train, {sizes.core_rows} "
            f"of them CORE, {TEST_ROWS} to test on; {report.weights:,} weights, "
            f"{sizes.rows * report.outputs:,} rows times outputs. The core's ridge for TANGENT is "
            f"{report.ridge:g}. One thread; all of it took {duration(report.seconds)}; the load "
            "average below says what else was running, so believe ratios before seconds.\n",
            f"{report.machine.words}\n",
            "## Conjugate gradients\n",
            f"From zero until the gradient, recomputed in float64, is {TOLERANCE:g} ||J't||, with "
            f"at most {sizes.most_iterations:,} iterations. The mean tangent kernel is what the "
            "product does: it solves in the rows' coefficients, and its preconditioner sees the "
            "rows that are solved for. Diagonal (exact) and K-FAC precondition the weights, see "
            "the CORE rows alone, and are of this benchmark only. Time is of one run.\n",
            table(
                [
                    *("scope", "rows", "ridge", "preconditioner", "iterations", "none's to its"),
                    *("set-up", "solve"),
                ],
                _solves(report.solves),
            ),
            _verdict(report.solves),
            "## An erasure\n",
            f"{ERASED} rows leave at ridge {report.ridge:g}. NEWTON goes on from the optimum "
            f"before, and both solves go to newton's own accuracy, ||g|| <= {ACCURACY:g} lam "
            "||w|| / n. Fine-tuning: the head's convolution from its ImageNet weights and a "
            f"classifier from zero, cross-entropy, Adam at {RATE:g}, batches of {BATCH}; for "
            f"{EPOCHS} epochs, or until the loss over an epoch is below {CONVERGED:g}. It is "
            "another model, nothing bounds how far it is from an optimum, and nothing was tuned. "
            f"Medians of {REPEATS} rounds in which all take turns.\n",
            table(["rows", "", "iterations or epochs", "time", "test accuracy"], _works(report)),
            "\n".join([*map(_compared, report.erasures), ""]),
            "## Noise on the release after it\n",
            f"mu of this one erasure of {report.sizes.rows} rows, from a warm start. Accuracy is "
            f"the mean of {DRAWS[Noise.ISOTROPIC]} draws (ISOTROPIC) and "
            f"{DRAWS[Noise.INVERSE_HESSIAN]} (INVERSE_HESSIAN), the same ones at every scale.\n",
            table(
                ["noise", "noise_scale", "mu", "nats", "best attack is right", "test accuracy"],
                _noises(report.sweeps),
            ),
            "\n".join([*map(_harmless, report.sweeps), ""]),
            f"![Nats and accuracy against noise_scale]({PLOT})\n",
            "## Beside FEATURES\n",
            table(["model", "test accuracy"], _beside(report)),
            "## Loss, activation and preconditioner\n",
            f"{SHOTS} rows of each class, means over draws with intervals of 95 % (Student's); the "
            "ridge, in units of its loss, is chosen on other training rows. Squared loss has "
            f"targets scaled by alpha {DEFAULT_LABEL_SCALE:g} and takes conjugate gradients as "
            f"above, to {TOLERANCE:g}; cross-entropy takes L-BFGS until the gradient is {GAIN:g} "
            f"of the first one. Leaky-ReLU (slope {SLOPE:g}) takes the place of the head's ReLU6; "
            "the core was not trained with it. In brackets: better (-) or worse (+) beyond chance "
            f"than {PRODUCT}, which is what the product has, or not told apart (?).\n",
            table(
                ["task", "loss, activation", "test error in %", "ridge", "iterations", "time"],
                [line for one in report.ablations for line in _ablated(one)],
            ),
            _worth(report.ablations),
        ]
    )


def _solves(solves: list[Solve]) -> list[list[str]]:
    return [
        [
            *(f"`{one.scope}`", f"{one.rows:,}", f"{one.ridge:g}", one.preconditioner),
            f"{one.iterations:,}" if one.reached else _capped(one),
            _gain(one, solves),
            duration(one.setup_seconds) if WAYS[one.preconditioner].make else "-",
            duration(one.seconds),
        ]
        for one in solves
    ]


def _capped(one: Solve) -> str:
    return f"stopped after {one.iterations:,} at {one.gradient:.1e}, by the recursion"


def _gain(one: Solve, solves: list[Solve]) -> str:
    gain = _times_fewer(one, solves)
    return f"{gain:.2g}" if gain else "-"


def _times_fewer(one: Solve, solves: list[Solve]) -> float | None:
    """None's iterations to those of this; None where either was stopped."""
    [plain] = [
        other for other in solves if other.preconditioner == PLAIN and other.problem == one.problem
    ]
    return plain.iterations / one.iterations if one.reached and plain.reached else None


def _verdict(solves: list[Solve]) -> str:
    ours = [one for one in solves if one.preconditioner == OURS]
    gains = [_times_fewer(one, solves) for one in ours]
    lines = [
        f"- `{one.scope}`, {one.rows} rows, ridge {one.ridge:g}: {_judged(gain)}."
        for one, gain in zip(ours, gains, strict=True)
    ]
    why = (
        "- Rows times outputs are fewer than weights, so that H is lam I on most of the space. "
        "K-FAC and the diagonal do not know that, and cost iterations."
    )
    return "\n".join([*lines, why, ""])


def _judged(gain: float | None) -> str:
    if gain is None:
        return "without it was stopped"
    met = "reached" if gain >= WANTED else "missed"
    return f"{gain:.2g} times fewer iterations with it; {WANTED:g} times is {met}"


def _works(report: Report) -> list[list[str]]:
    return [
        [
            str(erasure.rows),
            one.name,
            f"{one.rounds:,}",
            duration(one.typical),
            f"{one.accuracy:.1%}",
        ]
        for erasure in report.erasures
        for one in erasure.works
    ]


def _compared(erasure: Erasure) -> str:
    newton = erasure.named(NEWTON)
    ratios = {name: erasure.named(name).typical / newton.typical for name in (COLD, CONVERGING)}
    return (
        f"- {erasure.rows} rows: NEWTON took {newton.typical / erasure.named(TUNED).typical:.2g} "
        f"times the time of {EPOCHS} epochs; the refit took {ratios[COLD]:.2g} times NEWTON's, "
        f"fine-tuning until it fits {ratios[CONVERGING]:.2g} times. The erasure moved w by "
        f"{erasure.moved:.2g} ||w||; a gradient of {erasure.gradient_norm:.2g} is left, at most."
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
        if (one.scope, one.rows, one.preconditioner) == (SCOPE, report.sizes.rows, OURS)
        and one.accuracy is not None
    ]
    return tangent + [
        [f"FEATURES `{name}`, its default ridge", f"{accuracy:.1%}"]
        for name, accuracy in report.features.items()
    ]


def _worth(ablations: list[Ablation]) -> str:
    told = {
        name
        for one in ablations
        for name in one.row.cells
        if name != PRODUCT and one.row.differs(name, PRODUCT)
    }
    if not told:
        return "On no task does any of these choices err more or less than the product's.\n"
    return f"Told apart from the product's on some task: {', '.join(sorted(told))}.\n"


def _ablated(one: Ablation) -> list[list[str]]:
    row = one.row
    signs = {name: "?+-"[row.differs(name, PRODUCT)] for name in row.cells if name != PRODUCT}
    return [
        [
            *(row.words, name),
            f"{100 * cell.error:.1f} ± {100 * row.half_width(name):.1f}"
            + (f" ({signs[name]})" if name in signs else ""),
            cell.chosen.removeprefix("ridge "),
            f"{one.iterations[name]:g}",
            duration(cell.seconds),
        ]
        for name, cell in row.cells.items()
    ]


if __name__ == "__main__":
    main()
