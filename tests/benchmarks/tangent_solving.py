"""Conjugate gradients with several preconditioners, and an erasure beside what it replaces."""

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from torch import nn
from torch.nn.functional import cross_entropy

from tests.benchmarks.tangent_task import Rows, Tangent
from unlearning import cg
from unlearning.cg import Preconditioner
from unlearning.kfac import KroneckerCurvature
from unlearning.linearized import Floats, Jacobian

TOLERANCE = 1e-6
"""Of the residual, relative to ||J't||."""

MOST_ITERATIONS = 1_500
EPOCHS, BATCH, RATE = 20, 16, 1e-3


class CapError(Exception):
    """A solve took as many iterations as it may."""


class Watch:
    """Follows a solve, and ends it after so many iterations."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.iterations, self.residual = 0, 1.0

    def progress(self, iteration: int, residual: float) -> None:
        self.iterations, self.residual = iteration, residual

    def stop(self) -> None:
        if self.iterations >= self._most:
            raise CapError


class Diagonal:
    """1 / (scale diag(J_m'J_m) + lam), the diagonal taken exactly, row by row of J_m."""

    def __init__(self, J: Jacobian, scale: float, lam: float) -> None:
        squares = sum(np.square(J.rmatvec(unit)) for unit in units(J))
        self._inverse = 1 / (scale * squares + lam)

    def solve(self, r: Floats) -> Floats:
        return self._inverse * r


class Nystrom:
    """(scale J_m'J_m + lam I)^-1, by Woodbury's identity from the dense J_m J_m'."""

    def __init__(self, J: Jacobian, scale: float, lam: float) -> None:
        K = np.stack([J.matvec(J.rmatvec(unit)).ravel() for unit in units(J)])
        self._J, self._lam = J, lam
        self._factor = cho_factor((K + K.T) / 2 + lam / scale * np.eye(len(K)))

    def solve(self, r: Floats) -> Floats:
        u = cho_solve(self._factor, self._J.matvec(r).ravel())
        return (r - self._J.rmatvec(u.reshape(self._J.rows, -1))) / self._lam


def units(J: Jacobian) -> list[Floats]:
    """Each output of each row alone, shape (n, C)."""
    every = np.eye(J.rows * J.outputs)
    return [unit.reshape(J.rows, J.outputs) for unit in every]


Make = Callable[[Tangent, Rows], Preconditioner | None]


def _scaled(kind: Callable[[Jacobian, float, float], Preconditioner]) -> Make:
    def make(tangent: Tangent, core: Rows) -> Preconditioner:
        J = tangent.network.jacobian(core, double=False)
        return kind(J, len(tangent.psi) / len(core), tangent.lam)

    return make


def _kronecker(tangent: Tangent, core: Rows) -> Preconditioner:
    curvature = KroneckerCurvature(tangent.network, core, tangent.lam)
    return curvature.preconditioner(len(tangent.psi))


PRECONDITIONERS: dict[str, Make] = {
    "none": lambda _tangent, _core: None,
    "diagonal": _scaled(Diagonal),
    "K-FAC": _kronecker,
    "Nyström": _scaled(Nystrom),
}


@dataclass(frozen=True)
class Solve:
    """One solve from zero.

    Attributes:
        setup_seconds: making the preconditioner.
        seconds: the iterations, and the true residuals between runs of them.
        residual: relative; the true one, or where the cap was hit the recursion's.
    """

    ridge: float
    preconditioner: str
    setup_seconds: float
    seconds: float
    iterations: int
    residual: float
    reached: bool
    accuracy: float | None


def solve(tangent: Tangent, name: str, most: int) -> Solve:
    """Conjugate gradients as ``newton`` runs them, but for tolerance and preconditioner."""
    problem, watch = tangent.problem(), Watch(most)
    b = problem.moments()
    norm = float(np.linalg.norm(b))
    began = perf_counter()
    preconditioner = PRECONDITIONERS[name](tangent, tangent.psi[tangent.task.is_core])
    made = perf_counter()
    found = None
    with suppress(CapError):
        found = cg.solve(
            problem.fast,
            problem.precise,
            b,
            np.zeros_like(b),
            lambda _: TOLERANCE * norm,
            preconditioner,
            watch.progress,
            watch.stop,
        )
    seconds = perf_counter() - made
    return Solve(
        tangent.ridge,
        name,
        made - began,
        seconds,
        watch.iterations,
        found.residual_norm / norm if found else watch.residual,
        found is not None,
        tangent.accuracy(found.value) if found else None,
    )


@dataclass(frozen=True)
class Work:
    """What one way to be rid of rows took; no iterations where there are none to count."""

    name: str
    seconds: float
    iterations: int | None
    accuracy: float


@dataclass(frozen=True)
class Erasure:
    """Rows leave, and a model of what remains is found in several ways.

    Attributes:
        weights: those of the warm solve, shape (p,).
        gradient_norm: its bound.
        left: the same, relative to lam ||w|| / n: ``newton.ACCURACY`` is asked for.
        moved: how far the erasure moved w, relative to ||w||.
    """

    weights: Floats
    gradient_norm: float
    left: float
    moved: float
    works: tuple[Work, ...]


def erase(tangent: Tangent, count: int) -> Erasure:
    """NEWTON from the optimum, from zero, and fine-tuning from zero; the first users' rows go."""
    model, labels = tangent.model(), tangent.task.labels
    before = model.solve().weights
    start = tangent.task.core_rows
    gone = np.arange(start, start + count)
    model.erase(tangent.psi[gone], labels[gone])
    began = perf_counter()
    warm = model.solve(before)
    between = perf_counter()
    cold = model.solve()
    done = perf_counter()
    norm = float(np.linalg.norm(warm.weights))
    return Erasure(
        warm.weights,
        warm.gradient_norm,
        warm.gradient_norm / (tangent.lam * norm / model.n),
        float(np.linalg.norm(warm.weights - before)) / norm,
        (
            Work("NEWTON", between - began, warm.steps, tangent.accuracy(warm.weights)),
            Work("from zero", done - between, cold.steps, tangent.accuracy(cold.weights)),
            fine_tune(tangent, np.delete(np.arange(len(labels)), gone)),
        ),
    )


def fine_tune(tangent: Tangent, kept: np.ndarray) -> Work:
    """The head's convolution from its ImageNet weights and a classifier from zero, by Adam."""
    torch.manual_seed(0)
    task = tangent.task
    classifier = nn.Linear(1280, len(task.dataset.classes))
    nn.init.zeros_(classifier.weight)
    convolution = deepcopy(task.core._network._conv_head)
    parts = (convolution, nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), classifier)
    network = nn.Sequential(*parts).requires_grad_(True)
    x, truth = _activations(tangent, tangent.psi[kept]), torch.from_numpy(task.labels[kept])
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    began = perf_counter()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(network(x[batch]), truth[batch]).backward()
            optimizer.step()
    seconds = perf_counter() - began
    with torch.inference_mode():
        logits = network(_activations(tangent, tangent.test_psi)).numpy()
    return Work("fine-tuning from zero", seconds, None, task.accuracy(logits))


def _activations(tangent: Tangent, psi: Rows) -> torch.Tensor:
    """What enters the head, shape (n, channels, size, size)."""
    entrance = tangent.network._entrance
    like = torch.empty(0, dtype=torch.float32)
    return entrance.activations(psi, like).permute(0, 3, 1, 2).contiguous()
