"""Fine-tuning: every weight of the network and a new classifier, trained by gradient descent.

Cross-entropy, cosine decay after a short warm-up, batch norm on its ImageNet statistics
(folded into the convolutions, as the core has it), the classifier from zero.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import partial
from math import cos, pi, sqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from tests.benchmarks.accuracy.images import Images
from tests.benchmarks.accuracy.learners import Tuned, error
from tests.benchmarks.accuracy.tasks import Draw
from tests.benchmarks.datasets import Indices
from unlearning.pretraining.training import no_denormals

SETTINGS = (("Adam", 1e-4), ("Adam", 3e-4), ("SGD", 1e-3), ("SGD", 3e-3))
"""Optimizers with learning rates; beyond these it diverged or learned less in trials."""

MOMENTUM = 0.9
BATCH, LARGE_BATCH, LARGE = 16, 32, 1000
"""Images of a step; the larger batch from LARGE training images on."""

MOST_TUNING_STEPS = 150
TEST_BATCH = 64
MIRRORED = ("stamps",)
"""Data sets whose images may be mirrored: all shoes of Fashion-MNIST point the same way."""

Setting = tuple[str, float]


def tune(steps: int, images: Images, tuning: Sequence[Draw]) -> Tuned:
    """The optimizer and the learning rate with the fewest errors on what the draws hold out.

    Among equals the one with the lower cross-entropy. ``steps`` counts those of one image; n
    images take the root of n times as many.
    """
    scores = {
        setting: np.mean([_score(images, setting, steps, draw) for draw in tuning], axis=0)
        for setting in SETTINGS
    }
    best = min(scores, key=lambda setting: tuple(scores[setting]))
    return Tuned(partial(_learn, images, best, steps, None), f"{best[0]}, {best[1]:g}")


def _score(images: Images, setting: Setting, steps: int, draw: Draw) -> tuple[float, float]:
    """Error and cross-entropy on what a draw holds out."""
    labels = images.dataset.labels
    truth = labels[draw.test]
    logits = _learn(
        images, setting, steps, MOST_TUNING_STEPS, draw.train, labels[draw.train], draw.test
    )
    return error(logits, truth), cross_entropy(torch.tensor(logits), torch.tensor(truth)).item()


def _learn(
    images: Images,
    setting: Setting,
    steps: int,
    most_steps: int | None,
    train: Indices,
    labels: Indices,
    test: Indices,
) -> NDArray[np.float32]:
    count = round(steps * sqrt(len(train)))
    torch.manual_seed(0)
    network = _network(images)
    with no_denormals():
        pixels = torch.from_numpy(images.pixels(train))
        mirrored = images.dataset.name in MIRRORED
        optimizer = _optimizer(network, setting)
        _train(network, optimizer, pixels, labels, min(count, most_steps or count), mirrored)
        return _predict(network, torch.from_numpy(images.pixels(test)))


def _network(images: Images) -> nn.Module:
    """The core's network with a classifier on its pooled features."""
    core: Any = images.core  # its network is its own affair, but for us
    network = deepcopy(core._network)
    classifier = nn.Linear(1280, len(images.dataset.classes))
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)
    head = (network._conv_head, nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    whole = nn.Sequential(network._conv_stem, nn.ReLU6(), *network._blocks, *head, classifier)
    return whole.requires_grad_(True)


def _optimizer(network: nn.Module, setting: Setting) -> Optimizer:
    name, rate = setting
    if name == "Adam":
        return Adam(network.parameters(), lr=rate)
    return SGD(network.parameters(), lr=rate, momentum=MOMENTUM, nesterov=True)


def _train(
    network: nn.Module,
    optimizer: Optimizer,
    pixels: Tensor,
    labels: Indices,
    steps: int,
    mirrored: bool,
) -> None:
    warm = max(1, steps // 10)
    schedule = LambdaLR(
        optimizer, lambda t: min(1.0, (t + 1) / warm) * (1 + cos(pi * t / steps)) / 2
    )
    truth = torch.from_numpy(labels)
    for batch in _batches(len(labels), steps):
        images = _normalised(pixels[batch])
        if mirrored:
            images = _mirror_some(images)
        loss = cross_entropy(network(images), truth[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


def _batches(n: int, steps: int) -> Iterator[Tensor]:
    """Indices, from one random order of all images after another."""
    size = min(n, LARGE_BATCH if n >= LARGE else BATCH)
    orders = -(-steps * size // n)
    order = torch.cat([torch.randperm(n) for _ in range(orders)])
    yield from (order[start : start + size] for start in range(0, steps * size, size))


def _mirror_some(images: Tensor) -> Tensor:
    chosen = torch.rand(len(images), 1, 1, 1) < 0.5
    return torch.where(chosen, images.flip(3), images)


def _normalised(pixels: Tensor) -> Tensor:
    """Shape (n, 3, 96, 96), channels last in memory, of pixels (n, 96, 96, 3)."""
    return ((pixels.float() - 127) / 128).permute(0, 3, 1, 2)


@torch.inference_mode()
def _predict(network: nn.Module, pixels: Tensor) -> NDArray[np.float32]:
    starts = range(0, len(pixels), TEST_BATCH)
    logits = [network(_normalised(pixels[start : start + TEST_BATCH])) for start in starts]
    whole: NDArray[np.float32] = torch.cat(logits).numpy()
    return whole
