"""The loop: AdamW (Loshchilov and Hutter, ICLR 2019), a warm-up, and a cosine's decay.

Everything that chance decides in step t is drawn from the seed and t alone. So what was stopped
and goes on from a checkpoint is, on the CPU of one machine, bit for bit what was never stopped.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import cos, isfinite, pi

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.optim import AdamW, Optimizer

from unlearning.errors import CoreError
from unlearning.pretraining.runs import Run

WARM_UP = 0.1
"""Part of the steps."""

Progress = Callable[[int, int], None]
"""Takes how many steps are done, and of how many."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes:
        steps: of the optimizer.
        batch: images of a step.
        rate: the highest learning rate.
        seed: of all that is drawn.
        checkpoint_every: steps, the most that a run that is stopped loses.
    """

    steps: int
    batch: int
    rate: float
    seed: int
    checkpoint_every: int

    def factor(self, step: int) -> float:
        """The part of ``rate`` that a step has."""
        warm = max(1, round(WARM_UP * self.steps))
        return min(1.0, (step + 1) / warm) * (1 + cos(pi * step / self.steps)) / 2

    def rows(self, step: int, count: int) -> Tensor:
        """The images of a step, of ``count``: one random order of them after another."""
        places = np.arange(step * self.batch, (step + 1) * self.batch)
        orders = [self._order(epoch, count) for epoch in np.unique(places // count).tolist()]
        begun = places[0] // count * count
        return torch.from_numpy(np.concatenate(orders)[places - begun])

    def generator(self, step: int) -> Generator:
        """Of whatever else chance decides in a step."""
        (seed,) = np.random.SeedSequence([self.seed, 1, step]).generate_state(1, np.uint64)
        return Generator().manual_seed(int(seed))

    def _order(self, epoch: int, count: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, 0, epoch]).permutation(count)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """What is drawn within is drawn from a seed, and leaves torch's own generator alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def train(learner: nn.Module, count: int, schedule: Schedule, run: Run, progress: Progress) -> None:
    """Trains what gives a loss, called with rows and a generator, from its last checkpoint on.

    On the GPU if there is one. Afterwards the learner is as after the last step.

    Args:
        learner: all that it changes is in its parameters and buffers.
        count: of images.
        schedule: how long and how fast.
        run: where checkpoints are.
        progress: is told of every step.

    Raises:
        CoreError: if a checkpoint cannot be read or written, or the loss is not finite.
    """
    learner.to("cuda" if torch.cuda.is_available() else "cpu").train()
    weights = [weight for weight in learner.parameters() if weight.requires_grad]
    optimizer = AdamW(weights, lr=schedule.rate)
    with no_denormals():
        for step in range(run.restore(learner, optimizer), schedule.steps):
            loss = _step(learner, optimizer, schedule, step, count)
            if not isfinite(loss):
                problem = f"its loss in step {step} is {loss}"
                raise CoreError(run.name, problem, "lower training.rate, and start anew")
            run.record(step, loss, schedule.rate * schedule.factor(step))
            done = step + 1
            if done % schedule.checkpoint_every == 0 or done == schedule.steps:
                run.save(done, learner, optimizer)
            progress(done, schedule.steps)


def _step(
    learner: nn.Module, optimizer: Optimizer, schedule: Schedule, step: int, count: int
) -> float:
    for group in optimizer.param_groups:
        group["lr"] = schedule.rate * schedule.factor(step)
    loss: Tensor = learner(schedule.rows(step, count), schedule.generator(step))
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


@contextmanager
def no_denormals() -> Iterator[None]:
    """Dying moments become so small that arithmetic on a CPU takes ten times as long."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
