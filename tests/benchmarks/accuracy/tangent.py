"""TANGENT: the core's own weights, linearised, solved for as the product does."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.accuracy.images import Images
from tests.benchmarks.accuracy.learners import Tuned, error
from tests.benchmarks.accuracy.tasks import Draw
from tests.benchmarks.datasets import Indices
from unlearning.newton import TangentModel
from unlearning.objective import DEFAULT_LABEL_SCALE, Objective

HEAD, DEEPER = "head", "last:3"
ENTRANCES = {HEAD: "15:3x3", DEEPER: "12:3x3"}
"""Whole layers, whose outputs the weights of a scope work on."""

RIDGES = (10.0, 100.0, 1000.0)
MOST_ROWS, FEW_ROWS = 1500, 100
"""With either scope; more would take minutes for each solve."""


def tune(scope: str, images: Images, tuning: Sequence[Draw]) -> Tuned:
    """The ridge with the fewest errors on what the draws hold out.

    Among equals the one that is nearest to its targets.
    """
    scores = {
        ridge: tuple(np.mean([_score(images, scope, ridge, draw) for draw in tuning], axis=0))
        for ridge in RIDGES
    }
    best = min(scores, key=scores.__getitem__)
    return Tuned(partial(_learn, images, scope, best), f"`{scope}`, ridge {best:g}")


def _score(images: Images, scope: str, ridge: float, draw: Draw) -> tuple[float, float]:
    """The error and the mean squared distance to the targets on what is held out."""
    labels = images.dataset.labels
    logits = _learn(images, scope, ridge, draw.train, labels[draw.train], draw.test)
    targets = DEFAULT_LABEL_SCALE * np.eye(logits.shape[1])[labels[draw.test]]
    return error(logits, labels[draw.test]), float(np.square(logits - targets).mean())


def _learn(
    images: Images, scope: str, ridge: float, train: Indices, labels: Indices, test: Indices
) -> NDArray[np.float32]:
    core, classes, entrance = images.core, images.dataset.classes, ENTRANCES[scope]
    objective = Objective.create(
        core_digest=core.digest,
        feature_map=entrance,
        width=core.width(entrance),
        feature_bound=core.feature_bound,
        ridge=ridge,
        label_scale=DEFAULT_LABEL_SCALE,
        classes=classes,
        tangent_scope=scope,
    )
    network = core.linearize(scope, len(classes), objective.features.step)
    model = TangentModel(objective, network)
    model.add(images.psi(entrance, train), labels, np.zeros(len(train), np.bool_))
    w = model.solve().weights
    J = network.jacobian(images.psi(entrance, test), double=False)
    return np.asarray(J.matvec(w), np.float32)
