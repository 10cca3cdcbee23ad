"""Would K-FAC factors that a core's package carried speed up TANGENT? Iterations, with and without.

Run with `python -m tests.benchmarks.core_factors`. Factors must come from data that never need
forgetting: here the pictures that packers make, crops of photographs, or other digits than those
that are solved for.
The product's preconditioner, the rows' mean tangent kernel, comes from the rows themselves. So
that rows times outputs can outnumber the weights, the head has a sixteenth of the channels.
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from tests.benchmarks import datasets, kfac
from tests.benchmarks.cores import IMAGES, _crops, _png
from tests.benchmarks.files import RESULTS, write
from tests.benchmarks.tangent_solving import (
    MOST_ITERATIONS,
    OURS,
    PLAIN,
    TOLERANCE,
    CapError,
    System,
    Watch,
    in_coefficients,
    in_weights,
    mean_kernel,
    solved,
)
from tests.benchmarks.words import table
from unlearning.cg import Preconditioner
from unlearning.cores import Core, load
from unlearning.cores._classifier import classifier_signs
from unlearning.cores._probing import _pictures
from unlearning.lattice import feature_lattice
from unlearning.objective import DEFAULT_LABEL_SCALE
from unlearning.piecewise_linear import AveragePool, Pointwise, ReLU6, Sequential
from unlearning.ridge import RidgeProblem
from unlearning.tangent import Entrance, TangentLinearization

ROWS, RIDGES, OTHERS = (150, 1400), (1.0, 10.0, 100.0), 128
SHARE, SIDE, SCALE = 16, 3, 0.061
"""Of the channels, one in so many; the grid in front of the head; the classifier's weights."""

PICTURES, PHOTOGRAPHS = "K-FAC, pictures", "K-FAC, photographs"
OTHER, OWN = "K-FAC, other digits", "K-FAC, the rows"
WAYS = (PLAIN, PICTURES, PHOTOGRAPHS, OTHER, OWN, OURS)

Rows = NDArray[np.int16]


@dataclass(frozen=True)
class Solve:
    """Iterations of one problem by preconditioner; None beyond MOST_ITERATIONS."""

    rows: int
    equations: int
    weights: int
    ridge: float
    iterations: dict[str, int | None]


class Head:
    """A core's head with some of its channels, drawn at random, and rows for it."""

    def __init__(self, core: Core, classes: int) -> None:
        self._core, self._lattice = core, feature_lattice(core.feature_bound)
        convolution = core._network._conv_head  # type: ignore[attr-defined]
        outputs, inputs = convolution.weight.shape[:2]
        random = np.random.default_rng(0)
        self._inputs, kept = (
            np.sort(random.choice(of, of // SHARE, replace=False)) for of in (inputs, outputs)
        )
        # So many fewer inputs make sums that are so much smaller.
        weight = convolution.weight.detach().flatten(1)[kept][:, self._inputs] * SHARE**0.5
        bias = convolution.bias.detach()[kept]
        classifier = (
            SCALE * torch.tensor(classifier_signs(core.digest, classes, len(kept))).double()
        )

        def layers(dtype: torch.dtype) -> Sequential:
            last = Pointwise(classifier.to(dtype), torch.zeros(classes, dtype=dtype))
            return Sequential(
                Pointwise(weight.to(dtype), bias.to(dtype)), ReLU6(), AveragePool(), last
            )

        unit = self._lattice.step / core._layers["15"].scale  # type: ignore[attr-defined]
        self.network = TangentLinearization(layers, Entrance(len(self._inputs), SIDE, unit))

    def rows(self, encoded: list[bytes]) -> Rows:
        """What enters it, as it is stored."""
        everything = self._lattice.round(self._core.extract(self._core.entrance("head"), encoded))
        squares = everything[:, :-1].reshape(len(encoded), -1, SIDE**2)[:, self._inputs]
        return np.hstack([squares.reshape(len(encoded), -1), everything[:, -1:]]).astype(np.int16)


def main() -> None:
    """Solves, and writes the page."""
    digits = datasets.installed()["digits"]
    head = Head(load("efficientnet-lite0"), len(digits.classes))
    order = np.random.default_rng(1).permutation(len(digits.labels))[: max(ROWS) + OTHERS]
    rows = head.rows([digits.encoded[i] for i in order])
    data = {
        PICTURES: head.rows(list(_pictures())),
        PHOTOGRAPHS: head.rows([_png(crop) for crop in _crops()]),
        OTHER: rows[max(ROWS) :],
    }
    targets = DEFAULT_LABEL_SCALE * np.eye(len(digits.classes))[digits.labels[order]]
    problems = [(n, ridge) for n in ROWS for ridge in RIDGES]
    solves = [
        _solve(head.network, rows[:n], targets[:n], ridge, data)
        for n, ridge in track(problems, "Solving")
    ]
    write(RESULTS, "core_factors", {"solves": [asdict(each) for each in solves]}, _page(solves))


def _solve(
    network: TangentLinearization,
    rows: Rows,
    targets: NDArray[np.float64],
    ridge: float,
    data: dict[str, Rows],
) -> Solve:
    problem = RidgeProblem.of(network, rows, targets, ridge)
    weights = in_weights(problem)
    found = {PLAIN: _iterations(weights, None)}
    for name, of in {**data, OWN: rows}.items():
        factors = kfac.preconditioner(network, of, len(rows), ridge)
        found[name] = _iterations(weights, factors)
    found[OURS] = None
    if targets.size <= network.parameters:  # as ``newton`` has it
        found[OURS] = _iterations(in_coefficients(problem), mean_kernel(problem))
    return Solve(len(rows), targets.size, network.parameters, ridge, found)


def _iterations(system: System, preconditioner: Preconditioner | None) -> int | None:
    watch = Watch(MOST_ITERATIONS)
    try:
        solved(system, preconditioner, watch)
    except CapError:
        return None
    return watch.iterations


def _page(solves: list[Solve]) -> str:
    lines = [
        [
            f"{one.rows:,}",
            f"{one.equations:,}",
            f"{one.ridge:g}",
            *(_told(one, way) for way in WAYS),
        ]
        for one in solves
    ]
    head = ["rows", "rows times outputs", "ridge", *WAYS]
    return f"""# K-FAC factors from a core's own data

Iterations of conjugate gradients from zero until the gradient, recomputed in float64, is
{TOLERANCE:g} ||J't||, at most {MOST_ITERATIONS:,}: functions of the data alone, not of the machine.
The head of `efficientnet-lite0` with one in {SHARE} of its channels, {solves[0].weights:,} weights,
on scikit-learn's digits. K-FAC (Martens and Grosse, 2015; `tests/benchmarks/kfac.py`) preconditions
the weights with factors from the {len(_pictures())} pictures that packers make, from {IMAGES} crops
of the photographs of scikit-learn, from {OTHERS} other digits, or, as no package could, from the
rows that are solved for. The mean tangent kernel is what the product takes from these rows where
their equations are fewer than the weights.

{table(head, lines)}
"""


def _told(one: Solve, way: str) -> str:
    iterations = one.iterations[way]
    if iterations is not None:
        return str(iterations)
    return "-" if way == OURS else f"over {MOST_ITERATIONS:,}"


if __name__ == "__main__":
    main()
