"""What a better core is good for: accuracy before an erasure, after one of half, and after ZERO."""

from dataclasses import asdict
from typing import Any

import numpy as np

from tests.benchmarks.pretraining import plans
from tests.benchmarks.pretraining.features import DEFAULT, Seen
from tests.benchmarks.pretraining.intervals import Mean
from tests.benchmarks.pretraining.plans import CIDS, IMAGENET, RANDOM, STUDENTS, trainings
from tests.benchmarks.pretraining.sets import DIGITS, EVEN, FASHION, ODD, STAMPS, held
from unlearning.forgetting import MixedPrivacyModel
from unlearning.objective import DEFAULT_LABEL_SCALE, Objective

CORE_ROWS = 2
"""Samples of each class that never need forgetting; the others of the training part are users'."""

DRAWS = 5
TASKS = {
    f"{FASHION}, odd classes": (FASHION, (ODD,)),
    DIGITS: (DIGITS, (EVEN, ODD)),
    "stamps, odd topics": (STAMPS, (ODD,)),
}
CORES = {
    "weak (random weights)": RANDOM,
    "CIDS from scratch": plans.small(CIDS, EVEN),
    "pre-trained (ImageNet)": IMAGENET,
    "CIDS from ImageNet": plans.fine_tuned(CIDS),
    "consolidated": STUDENTS[FASHION],
}
BEFORE, HALF, ZERO = "before", "half erased", "ZERO"


def measure(seen: Seen) -> dict[str, Any]:
    """By task and core: accuracies over draws of the CORE samples and of the erased half."""
    return {
        task: {words: _measure(seen, core, *values) for words, core in CORES.items()}
        for task, values in TASKS.items()
    }


def _measure(seen: Seen, core: str, data: str, parities: tuple[int, ...]) -> dict[str, Any]:
    found = [
        [_draw(seen, each, data, parities, seed) for seed in range(DRAWS)]
        for each in trainings(core)
    ]
    return {
        moment: asdict(Mean.of([[draw[moment] for draw in draws] for draws in found]))
        for moment in (BEFORE, HALF, ZERO)
    }


def _draw(
    seen: Seen, core: str, data: str, parities: tuple[int, ...], seed: int
) -> dict[str, float]:
    images, random = held(data), np.random.default_rng(seed)
    train, test = images.parts(parities)
    classes, labels = np.unique(images.labels, return_inverse=True)
    is_core = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels[train]):
        is_core[random.permutation(train[labels[train] == label])[:CORE_ROWS]] = True
    user = random.permutation(train[~is_core[train]])
    erased = user[: len(user) // 2]

    objective = _objective(seen, core, [str(name) for name in classes])
    psi = objective.features.round(seen.psi(core, data, DEFAULT)).astype(np.int16)
    model = MixedPrivacyModel(objective)
    model.add(psi[train], labels[train], is_core[train])

    def accuracy() -> float:
        logits = objective.logits(psi[test], objective.weights(model.solve().weights))
        return float((logits.argmax(1) == labels[test]).mean())

    found = {BEFORE: accuracy()}
    model.erase(psi[erased], labels[erased])
    found[HALF] = accuracy()
    model.erase_all_user_rows()
    return {**found, ZERO: accuracy()}


def _objective(seen: Seen, core: str, classes: list[str]) -> Objective:
    found = seen.core(core)
    return Objective.create(
        core_digest=found.digest,
        feature_map=found.feature_map,
        width=found.width(""),
        feature_bound=found.feature_bound,
        ridge=found.ridge,
        label_scale=DEFAULT_LABEL_SCALE,
        classes=tuple(classes),
    )
