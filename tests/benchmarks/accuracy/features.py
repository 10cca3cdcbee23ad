"""FEATURES: ridge regression on a map of activations, solved exactly by the engine."""

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve

from tests.benchmarks.accuracy.images import Images
from tests.benchmarks.accuracy.learners import Tuned, error
from tests.benchmarks.accuracy.tasks import Draw
from tests.benchmarks.datasets import Indices
from unlearning.forgetting import MixedPrivacyModel
from unlearning.objective import DEFAULT_LABEL_SCALE, Objective

LAST_LAYER = ("head:1x1",)
CANDIDATES = (
    "7:3x3+10:3x3",
    "10:2x2+12:2x2+head:1x1",
    "4:4x4+7:4x4+10:4x4+head:1x1",
    "7:3x3+10:3x3+14:3x3+head:1x1",
    "7:4x4+10:4x4+14:3x3+head:1x1",
)
"""The core's default, its ``large``, and maps that reach the last blocks."""

RIDGES = (10.0, 100.0, 1000.0)


def default(images: Images, _: Sequence[Draw]) -> Tuned:
    """The core's own map and ridge: nothing is chosen."""
    return _tuned(images, images.core.feature_map, images.core.ridge)


def best_of(feature_maps: Iterable[str], images: Images, tuning: Sequence[Draw]) -> Tuned:
    """The map and the ridge with the fewest errors on what the draws hold out.

    Among equals the one that is nearest to its targets.
    """
    scores = {}
    for feature_map in feature_maps:
        each = np.mean([_scores(images, feature_map, draw) for draw in tuning], axis=0)
        scores.update({(feature_map, ridge): tuple(each[i]) for i, ridge in enumerate(RIDGES)})
    return _tuned(images, *min(scores, key=scores.__getitem__))


def _tuned(images: Images, feature_map: str, ridge: float) -> Tuned:
    return Tuned(partial(_learn, images, feature_map, ridge), f"`{feature_map}`, ridge {ridge:g}")


def _learn(
    images: Images, feature_map: str, ridge: float, train: Indices, labels: Indices, test: Indices
) -> NDArray[np.float32]:
    psi, core = images.psi(feature_map, train), images.core
    objective = Objective.create(
        core_digest=core.digest,
        feature_map=core.resolve(feature_map),
        width=core.width(feature_map),
        feature_bound=core.feature_bound,
        ridge=ridge,
        label_scale=DEFAULT_LABEL_SCALE,
        classes=images.dataset.classes,
    )
    model = MixedPrivacyModel(objective)
    model.add(psi, labels, np.zeros(len(psi), np.bool_))
    weights = objective.weights(model.solve().weights)
    return objective.logits(images.psi(feature_map, test), weights)


def _scores(images: Images, feature_map: str, draw: Draw) -> list[tuple[float, float]]:
    """For each ridge the error and the mean squared distance to the targets on what is held out.

    Solved in the dual, f(x) = k(x)' (K + lam I)^-1 T, whose size is that of the draw.
    """
    X, Z = (images.features(feature_map, part) for part in (draw.train, draw.test))
    one_hot, labels = np.eye(len(images.dataset.classes)), images.dataset.labels
    K, T = X @ X.T, one_hot[labels[draw.train]]
    truth = labels[draw.test]
    logits = [Z @ (X.T @ solve(K + ridge * np.eye(len(K)), T, assume_a="pos")) for ridge in RIDGES]
    return [(error(f, truth), float(np.square(f - one_hot[truth]).mean())) for f in logits]
