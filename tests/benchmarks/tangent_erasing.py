"""An erasure beside what it replaces: a solve from zero, and fine-tuning."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from math import inf
from statistics import median
from time import perf_counter

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tests.benchmarks.datasets import Indices
from tests.benchmarks.tangent_task import Rows, Tangent
from unlearning.linearized import Floats
from unlearning.ridge import Solution

REPEATS = 3
EPOCHS, BATCH, RATE = 20, 16, 1e-3
CONVERGED = 0.01
"""Cross-entropy on the training set, the mean over an epoch."""

MOST_EPOCHS = 200


@dataclass(frozen=True)
class Work:
    """What one way to be rid of rows took.

    Attributes:
        seconds: each time.
        rounds: iterations of conjugate gradients, or epochs.
    """

    name: str
    seconds: list[float]
    rounds: int
    accuracy: float

    @property
    def typical(self) -> float:
        """Seconds, the median."""
        return median(self.seconds)


@dataclass(frozen=True)
class Erasure:
    """Rows leave, and a model of what remains is found in several ways.

    Attributes:
        rows: that were held.
        weights: those of the warm solve, shape (p,).
        gradient_norm: its bound.
        moved: how far the erasure moved w, relative to ||w||.
    """

    rows: int
    weights: Floats
    gradient_norm: float
    moved: float
    works: tuple[Work, ...]

    def named(self, name: str) -> Work:
        """One of the ways."""
        return next(work for work in self.works if work.name == name)


NEWTON, COLD, TUNED, CONVERGING = (
    "NEWTON",
    "refit from zero",
    f"fine-tuning from zero, {EPOCHS} epochs",
    "fine-tuning from zero, until it fits",
)


def erase(tangent: Tangent, count: int) -> Erasure:
    """The first users' rows go. Ways take turns, so that what else runs hits all alike."""
    task = tangent.task
    gone = np.arange(task.core_rows, task.core_rows + count)
    kept = np.delete(np.arange(len(task.labels)), gone)
    model = tangent.model()
    before = model.solve()
    model.erase(tangent.psi[gone], task.labels[gone])
    ways = {
        NEWTON: lambda: _solved(tangent, model.solve(before)),
        COLD: lambda: _solved(tangent, model.solve()),
        TUNED: lambda: fine_tune(tangent, kept, EPOCHS, 0.0),
        CONVERGING: lambda: fine_tune(tangent, kept, MOST_EPOCHS, CONVERGED),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results = {}
    for _ in range(REPEATS):
        for name, way in ways.items():
            began = perf_counter()
            results[name] = way()
            seconds[name].append(perf_counter() - began)
    warm = model.solve(before)
    norm = float(np.linalg.norm(warm.weights))
    return Erasure(
        len(task.labels),
        warm.weights,
        warm.gradient_norm,
        float(np.linalg.norm(warm.weights - before.weights)) / norm,
        tuple(
            Work(name, seconds[name], found.rounds, found.accuracy())
            for name, found in results.items()
        ),
    )


@dataclass(frozen=True)
class Found:
    """A model, whose accuracy takes time that is not its own."""

    rounds: int
    accuracy: Callable[[], float]


def _solved(tangent: Tangent, solution: Solution) -> Found:
    return Found(solution.steps, lambda: tangent.accuracy(solution.weights))


def fine_tune(tangent: Tangent, kept: Indices, most_epochs: int, goal: float) -> Found:
    """The head's convolution from its ImageNet weights and a classifier from zero, by Adam.

    Ends once the loss, the mean over an epoch, is below the goal.
    """
    torch.manual_seed(0)
    task = tangent.task
    classifier = nn.Linear(1280, len(task.dataset.classes))
    nn.init.zeros_(classifier.weight)
    convolution = deepcopy(task.core._network._conv_head)
    parts = (convolution, nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), classifier)
    network = nn.Sequential(*parts).requires_grad_(True)
    x, truth = _activations(tangent, tangent.psi[kept]), torch.from_numpy(task.labels[kept])
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    epochs, loss = 0, inf
    while epochs < most_epochs and loss >= goal:
        loss = _epoch(network, optimizer, x, truth)
        epochs += 1

    @torch.inference_mode()
    def accuracy() -> float:
        return task.accuracy(network(_activations(tangent, tangent.test_psi)).numpy())

    return Found(epochs, accuracy)


def _epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, truth: torch.Tensor
) -> float:
    """The mean loss."""
    total = 0.0
    for batch in torch.randperm(len(x)).split(BATCH):
        optimizer.zero_grad()
        loss = cross_entropy(network(x[batch]), truth[batch])
        loss.backward()
        optimizer.step()
        total += len(batch) * loss.item()
    return total / len(x)


def _activations(tangent: Tangent, psi: Rows) -> torch.Tensor:
    """What enters the head, shape (n, channels, size, size)."""
    entrance = tangent.network._entrance
    like = torch.empty(0, dtype=torch.float32)
    return entrance.activations(psi, like).permute(0, 3, 1, 2).contiguous()
