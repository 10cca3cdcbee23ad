"""What a TANGENT model's loss, activation and preconditioner are worth, one taken out at a time.

As Achille et al. do (LQF, CVPR 2021, section 4): squared loss on scaled targets against
cross-entropy, Leaky-ReLU against the activation that there is, and with a preconditioner or
without. Their core was trained with Leaky-ReLU; here it is put in place of a ReLU6 that the
core was trained with.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from torch import Tensor
from torch.nn.functional import leaky_relu

from tests.benchmarks import datasets
from tests.benchmarks.accuracy.images import Images
from tests.benchmarks.accuracy.learners import error
from tests.benchmarks.accuracy.results import Cell, Row
from tests.benchmarks.accuracy.tasks import Draw, Sizes, tasks
from tests.benchmarks.datasets import Dataset, Indices
from tests.benchmarks.tangent_solving import in_coefficients, mean_kernel, solved
from tests.benchmarks.tangent_task import SCOPE, Rows
from unlearning.cores import Core
from unlearning.lattice import feature_lattice
from unlearning.linearized import Floats, Jacobian
from unlearning.objective import DEFAULT_LABEL_SCALE
from unlearning.piecewise_linear import Layer, ReLU6, Sequential
from unlearning.ridge import RidgeProblem
from unlearning.tangent import TangentLinearization

SHOTS = 5
SIZES = Sizes({SHOTS: 5}, {SHOTS: 2}, most_test=1000)
QUICK = Sizes({SHOTS: 2}, {SHOTS: 1}, most_test=100, held_out=50)
SLOPE = 0.01
"""Of Leaky-ReLU below zero, torch's own choice."""

GAIN = 1e-4
"""Of the gradient's norm, where cross-entropy is minimised far enough."""

MEMORY = 20
MOST_STEPS = 500


class LeakyReLU(Layer[Tensor]):
    """x, or SLOPE x where that is negative."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = leaky_relu(x, SLOPE)
        return y, y

    def jvp(self, cache: Tensor, dx: Tensor | None, *_: Any) -> Tensor | None:
        return None if dx is None else self._sloped(cache, dx)

    def vjp(self, cache: Tensor, dy: Tensor, *_: Any) -> Tensor:
        return self._sloped(cache, dy)

    def _sloped(self, y: Tensor, d: Tensor) -> Tensor:
        return torch.where(y > 0, d, SLOPE * d)


def leaky(linearization: TangentLinearization) -> TangentLinearization:
    """Of a head, with Leaky-ReLU in place of ReLU6."""

    def network(dtype: torch.dtype) -> Sequential:
        layers = linearization._network(dtype).layers
        return Sequential(*(LeakyReLU() if isinstance(one, ReLU6) else one for one in layers))

    return TangentLinearization(network, linearization._entrance)


Learn = Callable[[TangentLinearization, Rows, Indices, float], tuple[Floats, int]]
"""Takes rows, their labels and the ridge; returns weights (p,) and iterations."""


def squared(
    network: TangentLinearization,
    psi: Rows,
    labels: Indices,
    ridge: float,
    *,
    preconditioned: bool = True,
) -> tuple[Floats, int]:
    """As the product does it, or without its preconditioner."""
    targets = DEFAULT_LABEL_SCALE * np.eye(network.outputs)[labels]
    problem = RidgeProblem.of(network, psi, targets, ridge)
    system = in_coefficients(problem)
    found = solved(system, mean_kernel(problem) if preconditioned else None)
    return system.weights(found.value), found.iterations


def logistic(
    network: TangentLinearization, psi: Rows, labels: Indices, ridge: float
) -> tuple[Floats, int]:
    """sum cross-entropy + ridge / 2 ||w||^2, by L-BFGS."""
    J, truth = network.jacobian(psi, double=False), np.eye(network.outputs)[labels]
    norms: list[float] = []

    def loss(w: Floats) -> tuple[float, Floats]:
        f = J.matvec(w)
        gradient = J.rmatvec(softmax(f, axis=1) - truth) + ridge * w
        norms.append(float(np.linalg.norm(gradient)))
        return float(-(truth * log_softmax(f, axis=1)).sum() + ridge / 2 * w @ w), gradient

    def enough(_: Floats) -> None:
        if norms[-1] <= GAIN * norms[0]:
            raise StopIteration

    options = {"maxiter": MOST_STEPS, "maxcor": MEMORY, "ftol": 0.0, "gtol": 0.0}
    start = np.zeros(J.parameters)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", callback=enough, options=options)
    return found.x, found.nit


@dataclass(frozen=True)
class Variant:
    """One way to learn; its ridge, in real units, is chosen among several."""

    learn: Learn
    is_leaky: bool
    ridges: tuple[float, ...]


SQUARED_RIDGES = (10.0, 100.0, 1000.0)
LOGISTIC_RIDGES = (1.0, 10.0, 100.0)
PRODUCT = "squared, ReLU6"
VARIANTS: Mapping[str, Variant] = {
    PRODUCT: Variant(squared, False, SQUARED_RIDGES),
    "the same, not preconditioned": Variant(
        partial(squared, preconditioned=False), False, SQUARED_RIDGES
    ),
    "cross-entropy, ReLU6": Variant(logistic, False, LOGISTIC_RIDGES),
    "squared, Leaky-ReLU": Variant(squared, True, SQUARED_RIDGES),
    "cross-entropy, Leaky-ReLU": Variant(logistic, True, LOGISTIC_RIDGES),
}


@dataclass(frozen=True)
class Ablation:
    """All variants on one task, and the median of their iterations."""

    row: Row
    iterations: dict[str, float]


def ablate(core: Core, sizes: Sizes) -> list[Ablation]:
    """On the data sets that there are, but for stamps."""
    every = [datasets.digits(), *([datasets.fashion()] if datasets.FASHION.is_dir() else [])]
    return [_ablate(core, dataset, sizes) for dataset in every]


def _ablate(core: Core, dataset: Dataset, sizes: Sizes) -> Ablation:
    task = next(tasks(dataset, sizes))
    images = Images(dataset, core, (core.entrance(SCOPE),), task.images)
    done = {name: _measure(images, task.draws, task.tuning, one) for name, one in VARIANTS.items()}
    first = task.draws[0]
    cells = {name: cell for name, (cell, _) in done.items()}
    row = Row(task.words, task.shots, len(first.train), len(first.test), cells)
    return Ablation(row, {name: iterations for name, (_, iterations) in done.items()})


def _measure(
    images: Images, draws: list[Draw], tuning: list[Draw], variant: Variant
) -> tuple[Cell, float]:
    learn = partial(_learn, images, variant)
    tried = {ridge: np.mean([learn(ridge, draw)[0] for draw in tuning]) for ridge in variant.ridges}
    ridge = min(tried, key=lambda ridge: (tried[ridge], -ridge))
    errors, iterations, seconds = zip(*(learn(ridge, draw) for draw in draws), strict=True)
    return Cell(list(errors), median(seconds), f"ridge {ridge:g}"), median(iterations)


def _learn(images: Images, variant: Variant, ridge: float, draw: Draw) -> tuple[float, int, float]:
    """The test error, iterations, and seconds of learning alone."""
    entrance, dataset, core = images.core.entrance(SCOPE), images.dataset, images.core
    step = feature_lattice(core.feature_bound).step
    network = core.linearize(SCOPE, len(dataset.classes), step)
    if variant.is_leaky:
        network = leaky(network)
    began = perf_counter()
    psi = images.psi(entrance, draw.train)
    w, iterations = variant.learn(network, psi, dataset.labels[draw.train], ridge)
    seconds = perf_counter() - began
    J: Jacobian = network.jacobian(images.psi(entrance, draw.test), double=False)
    return error(J.matvec(w), dataset.labels[draw.test]), iterations, seconds
