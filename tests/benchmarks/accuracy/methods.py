"""The methods that are compared, by name: adding one is adding an entry."""

from collections.abc import Mapping
from functools import partial

from tests.benchmarks.accuracy import features, fine_tuning, tangent
from tests.benchmarks.accuracy.learners import Method
from tests.benchmarks.accuracy.results import BASELINE, DEEPER_TANGENT, FEATURES, TANGENT

FEATURE_MAPS = (*features.LAST_LAYER, *features.CANDIDATES, *tangent.ENTRANCES.values())
"""All that is to be extracted."""


def methods(steps: int) -> Mapping[str, Method]:
    """All of them; ``steps`` is fine-tuning's."""
    return {
        BASELINE: Method(
            "every weight of the network by gradient descent, cross-entropy",
            partial(fine_tuning.tune, steps),
            largest=5000,
        ),
        FEATURES: Method(
            "the engine's exact ridge regression; map and ridge chosen on the tuning draw",
            partial(features.best_of, features.CANDIDATES),
        ),
        "FEATURES, default": Method(
            "the same with the core's own map and ridge: nothing is chosen", features.default
        ),
        "last layer": Method(
            "the same on the pooled output of the last layer, the ridge chosen",
            partial(features.best_of, features.LAST_LAYER),
        ),
        TANGENT: Method(
            "the weights of the core's head, linearised (scope `head`); the ridge chosen",
            partial(tangent.tune, tangent.HEAD),
            largest=tangent.MOST_ROWS,
        ),
        DEEPER_TANGENT: Method(
            "the same with three blocks besides (scope `last:3`)",
            partial(tangent.tune, tangent.DEEPER),
            largest=tangent.FEW_ROWS,
        ),
    }
