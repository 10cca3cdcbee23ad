"""Makes each core once: its package, and a file that says how it went."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import nn

from tests.benchmarks.pretraining import sets
from tests.benchmarks.pretraining.classifier import Classifier, compact
from tests.benchmarks.pretraining.plans import (
    CONSOLIDATION,
    CONTRAST,
    CROSS_ENTROPY,
    EVERY_PLAN,
    LITE,
    NOTHING,
    POOLED,
    POSITIVES,
    SETTINGS,
    SIZES,
    Plan,
)
from unlearning.cores import Core, folder
from unlearning.cores.adapters import adapter
from unlearning.pretraining.augmentation import Augmentation
from unlearning.pretraining.cids import Cids
from unlearning.pretraining.consolidation import Consolidation, lessons
from unlearning.pretraining.encoders import ENCODERS, Encoder
from unlearning.pretraining.runs import METRICS, Run
from unlearning.pretraining.training import Progress, seeded, train

LAST = 20
"""Steps over which the loss at the end is averaged."""

PROXY = {sets.FASHION: 2000, sets.DIGITS: 1000, sets.STAMPS: 448}
"""Training images without their labels, of all classes."""


def load(runs: Path, name: str) -> Core:
    """A core that was made."""
    package = folder.read(runs / "cores" / name, name).open()
    return adapter(package.adapter, name).load(package)


def make(runs: Path, name: str, progress: Progress) -> dict[str, Any]:
    """Makes a core, unless it is there; returns its processor seconds and its last loss."""
    result = runs / f"{name}.json"
    if not result.exists():
        plan, began = EVERY_PLAN[name], process_time()
        with seeded(plan.seed):
            encoder = ENCODERS[plan.encoder](SIZES[plan.encoder])
            learner, count = _learner(runs, plan, encoder)
        place = runs / "training" / name
        if plan.method != NOTHING:
            run = Run(name, place, {"plan": repr(plan), "schedule": repr(plan.schedule)})
            train(learner, count, plan.schedule, run, progress)
        shutil.rmtree(runs / "cores" / name, ignore_errors=True)
        folder.write(encoder.package(name, repr(plan)), runs / "cores" / name)
        values = {"seconds": process_time() - began, "loss": _last_loss(place)}
        result.write_text(json.dumps(values))
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def _learner(runs: Path, plan: Plan, encoder: Encoder) -> tuple[nn.Module, int]:
    """What is trained, and on how many images."""
    if plan.method == NOTHING:
        return encoder, 0
    if plan.method == CONSOLIDATION:
        proxy = list(_proxy())
        pixels = torch.from_numpy(sets.pixels(proxy, encoder.size))
        taught = [lessons(load(runs, name), POOLED[LITE], proxy) for name in plan.teachers]
        return Consolidation(encoder, pixels, taught), len(proxy)
    data, chosen = sets.dataset(plan.data), sets.learned(plan.data, plan.parity)
    pixels = torch.from_numpy(sets.pixels([data.encoded[i] for i in chosen], encoder.size))
    labels = compact(torch.from_numpy(data.labels[chosen]))
    # All shoes of Fashion-MNIST point the same way.
    augmentation = Augmentation(mirrored=plan.data == sets.STAMPS)
    if plan.method == CROSS_ENTROPY:
        return Classifier(encoder, pixels, labels, augmentation), len(pixels)
    known = None if plan.method == CONTRAST else labels
    positives = POSITIVES[plan.method]
    learner = Cids(encoder, pixels, known, augmentation, positives=positives, **SETTINGS)
    return learner, len(pixels)


def _proxy() -> Iterator[bytes]:
    for name, count in PROXY.items():
        data = sets.dataset(name)
        yield from (data.encoded[i] for i in data.train[:count])


def _last_loss(place: Path) -> float | None:
    if not (place / METRICS).exists():
        return None
    lines = (place / METRICS).read_text().splitlines()[-LAST:]
    return sum(json.loads(line)["loss"] for line in lines) / len(lines)
