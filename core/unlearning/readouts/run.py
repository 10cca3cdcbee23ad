"""Puts a model through every read-out."""

from collections.abc import Callable

import numpy as np

from unlearning.errors import InvalidInputError
from unlearning.information import InformationBound
from unlearning.readouts import attacks, comparison
from unlearning.readouts.attacks import read_attacks
from unlearning.readouts.comparison import Figures, compare, figures, outputs
from unlearning.readouts.model import ModelUnderTest, Released, Rows, Samples
from unlearning.readouts.relearning import Relearning
from unlearning.readouts.result import ReadOuts
from unlearning.readouts.worlds import Laboratory

RELEASES = 64
"""That forgot, and as many retrained, to compare; they differ by noise alone."""

Progress = Callable[[int, int], None]
"""Is told how many models are done, and of how many."""


def unwatched(_done: int, _of: int) -> None:
    """Nobody waits."""


def read_out(
    model: ModelUnderTest,
    samples: Samples,
    bound: InformationBound,
    *,
    shadows: int = 100,
    pairs: int = 256,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Progress = unwatched,
) -> ReadOuts:
    """Tries to refute that the model forgets within the bound.

    It trains 6 + 3 shadows + 2 pairs models, and 126 more where there is noise: then all of them
    are of the same rows, for which alone the bound was computed. Without noise most retain a
    random half of the users' rows, to which a claim of the retrained model's very bits (mu = 0)
    extends.

    Args:
        model: what is under test.
        samples: what it trains on, is asked to forget and is tested on.
        bound: what was claimed of the release after the last request.
        shadows: worlds that attacks learn from, of three models each; at least 3.
        pairs: worlds that attacks are tried in, of two models each.
        confidence: with which all intervals hold together.
        seed: of worlds and of releases' noise.
        progress: called after each model but the first two, which tell whether there is noise.

    Raises:
        InvalidInputError: for a model of one class, whose softmax says nothing.
    """
    mu, random = bound.gaussian_dp, np.random.default_rng(seed)
    noisy = _noisy(model, samples, random)
    releases = RELEASES if noisy else 1
    of = 2 + 2 * releases + 3 * shadows + 2 * pairs
    lab = Laboratory(model, samples, random, lambda done: progress(done, of))
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
        comparisons=compare(*_releases(model, samples, lab, random, releases), mu, each),
        attacks=read_attacks(
            lab.shadows(shadows, known=noisy), lab.pairs(pairs, known=noisy), mu, each
        ),
    )


def _noisy(model: ModelUnderTest, samples: Samples, random: np.random.Generator) -> bool:
    """Whether two retrainings differ. Raises InvalidInputError for a model of one class."""
    seeds = random.integers(2**63, size=2)
    one, other = (model.train(samples.retained, int(seed))(samples.erased) for seed in seeds)
    if one.shape[1] < 2:
        raise InvalidInputError("classes", "there is one", "the read-outs need at least two")
    return bool((one != other).any())


def _releases(
    model: ModelUnderTest,
    samples: Samples,
    lab: Laboratory,
    random: np.random.Generator,
    releases: int,
) -> tuple[list[Figures], list[Figures]]:
    """Of as many that forgot and that were retrained; one without noise stands for all."""
    relearning = _relearning(model, samples, lab, random)
    reference = outputs(lab.train(samples.retained), samples)

    def each(make: Callable[[Rows], Released]) -> list[Figures]:
        made = [
            figures(outputs(make(samples.retained), samples), reference, samples, relearning)
            for _ in range(releases)
        ]
        return made * (RELEASES // releases)

    return each(lab.unlearn), each(lab.train)


def _relearning(
    model: ModelUnderTest, samples: Samples, lab: Laboratory, random: np.random.Generator
) -> Relearning:
    erased = samples.erased
    before = lab.train(np.concatenate([samples.retained, erased]))(erased)
    return Relearning(model.kernel(erased), model.targets(erased), before, random)
