"""Puts a model through every read-out."""

from itertools import pairwise

import numpy as np

from unlearning.errors import InvalidInputError
from unlearning.information import InformationBound
from unlearning.readouts import attacks, comparison
from unlearning.readouts.attacks import read_attacks
from unlearning.readouts.comparison import Outputs, compare, outputs
from unlearning.readouts.model import ModelUnderTest, Samples
from unlearning.readouts.relearning import Relearning
from unlearning.readouts.result import ReadOuts
from unlearning.readouts.worlds import Laboratory

RETRAININGS = 8
"""That the model is compared with; they differ by the noise of a release."""


def read_out(
    model: ModelUnderTest,
    samples: Samples,
    bound: InformationBound,
    *,
    shadows: int = 100,
    pairs: int = 256,
    confidence: float = 0.95,
    seed: int = 0,
) -> ReadOuts:
    """Tries to refute that the model forgets within the bound.

    It trains 10 + 3 shadows + 2 pairs models. With noise all of them are of the same rows, for
    which alone the bound was computed; without noise most retain a random half of the users'
    rows, to which a claim of the retrained model's very bits (mu = 0) extends.

    Args:
        model: what is under test.
        samples: what it trains on, is asked to forget and is tested on.
        bound: what was claimed of the release after the last request.
        shadows: worlds that attacks learn from, of three models each; at least 3.
        pairs: worlds that attacks are tried in, of two models each.
        confidence: with which all intervals hold together.
        seed: of worlds and of releases' noise.

    Raises:
        InvalidInputError: for a model of one class, whose softmax says nothing.
    """
    mu, random = bound.gaussian_dp, np.random.default_rng(seed)
    lab = Laboratory(model, samples, random)
    retrained = [outputs(lab.train(samples.retained), samples) for _ in range(RETRAININGS)]
    if retrained[0]["erased"].shape[1] < 2:
        raise InvalidInputError("classes", "there is one", "the read-outs need at least two")
    noisy = _noisy(retrained)
    each = 1 - (1 - confidence) / (comparison.READ_OUTS + attacks.READ_OUTS)
    return ReadOuts(
        erased=len(samples.erased),
        retained=len(samples.retained),
        test=len(samples.test),
        shadows=shadows,
        pairs=pairs,
        retained_known=noisy,
        confidence=confidence,
        attack_accuracy=bound.attack_accuracy,
        attack_tpr=bound.attack_tpr,
        comparisons=compare(
            samples,
            outputs(lab.unlearn(samples.retained), samples),
            retrained,
            _relearning(model, samples, lab, random),
            mu,
            each,
        ),
        attacks=read_attacks(
            lab.shadows(shadows, known=noisy), lab.pairs(pairs, known=noisy), mu, each
        ),
    )


def _noisy(retrained: list[Outputs]) -> bool:
    return any((one["erased"] != other["erased"]).any() for one, other in pairwise(retrained))


def _relearning(
    model: ModelUnderTest, samples: Samples, lab: Laboratory, random: np.random.Generator
) -> Relearning:
    erased = samples.erased
    before = lab.train(np.concatenate([samples.retained, erased]))(erased)
    return Relearning(model.kernel(erased), model.targets(erased), before, random)
