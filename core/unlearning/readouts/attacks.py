"""Membership attacks on models that forgot, held against what the bound permits.

Each is tried on pairs of releases, of a model that forgot and of one retrained, from the same
retained rows: each pair an independent trial, so that the intervals are exact. The false
positive rate is measured, not taken to be the nominal one. For a mu-GDP pair of releases

    accuracy <= Phi(mu / 2),    TPR <= Phi(Phi^-1(FPR) + mu)

(Dong, Roth and Su, 2019). Who sees both releases, and need only say which is which, sees a
sqrt(2) mu-GDP composition of the two, hence is right at most Phi(mu / sqrt(2)) of the time; a
pair hides nothing but noise, so without noise this finds the smallest trace. All holds with the
two releases exchanged: an attack that is wrong more often than that is right once its answers
are reversed.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from unlearning.information import FALSE_POSITIVE_RATE
from unlearning.readouts.entropy import Threshold
from unlearning.readouts.intervals import Interval, PairedTrials
from unlearning.readouts.lira import log_likelihood_ratio
from unlearning.readouts.model import Floats
from unlearning.readouts.result import ReadOut
from unlearning.readouts.worlds import Pairs, Shadows

READ_OUTS = 12
"""Intervals in what follows: four for each of three attacks."""


class Scores(NamedTuple):
    """An attack's score of each erased sample, the higher the likelier it is still known.

    Shape (models, k): of shadow models that know the samples and that do not, and of the
    models under attack.
    """

    knowing: NDArray[np.float64]
    unknowing: NDArray[np.float64]
    forgot: NDArray[np.float64]
    never_knew: NDArray[np.float64]


def read_attacks(
    shadows: Shadows, pairs: Pairs, mu: float, confidence: float
) -> tuple[ReadOut, ...]:
    """Every attack; ``confidence`` is that of each interval."""
    knowing, never_knew = shadows.knowing, shadows.never_knew
    attacks = {
        "entropy": Scores(
            knowing.member, never_knew.member, pairs.forgot.member, pairs.never_knew.member
        ),
        "LiRA": likelihoods(knowing.confidence, never_knew.confidence, pairs),
        "U-LiRA": likelihoods(shadows.forgot.confidence, never_knew.confidence, pairs),
    }
    return tuple(
        read_out
        for name, scores in attacks.items()
        for read_out in hold_against(name, scores, mu, confidence)
    )


def likelihoods(inside: Floats, outside: Floats, pairs: Pairs) -> Scores:
    """Scores by likelihood ratio, from shadows' confidences (m, k), m of either kind, m > 2.

    Shadows are scored by the others: by themselves they would be told apart too easily.
    """
    n = len(inside)
    left_out = [np.arange(n) != i for i in range(n)]
    return Scores(
        np.vstack(
            [log_likelihood_ratio(inside[~kept], inside[kept], outside) for kept in left_out]
        ),
        np.vstack(
            [log_likelihood_ratio(outside[~kept], inside, outside[kept]) for kept in left_out]
        ),
        log_likelihood_ratio(pairs.forgot.confidence, inside, outside),
        log_likelihood_ratio(pairs.never_knew.confidence, inside, outside),
    )


def hold_against(
    name: str, scores: Scores, mu: float, confidence: float
) -> tuple[ReadOut, ReadOut, ReadOut, ReadOut]:
    """The accuracy on all erased samples, on the most exposed one and on pairs, and the TPR.

    Samples are scored together by the mean of their scores. The most exposed one is chosen
    after the fact, so its interval is as wide as if there were one for each (Bonferroni).
    """
    together = Scores(*(part.mean(axis=1, keepdims=True) for part in scores))
    [everyone] = _trials(together)
    exposed = max(_trials(scores), key=lambda one: abs(one.only_unlearned - one.only_retrained))
    of_many = 1 - (1 - confidence) / scores.forgot.shape[1]
    forgot, never_knew = together.forgot[:, 0], together.never_knew[:, 0]
    order = PairedTrials.of(forgot > never_knew, never_knew > forgot)
    one, both = _around_chance(mu / 2), _around_chance(mu / sqrt(2))
    return (
        ReadOut(f"{name}: accuracy", everyone.accuracy(confidence), one),
        ReadOut(f"{name}: accuracy on the most exposed sample", exposed.accuracy(of_many), one),
        ReadOut(f"{name}: accuracy on pairs", order.accuracy(confidence), both),
        _rare_false_alarms(name, together, mu, confidence),
    )


def _around_chance(deviations: float) -> Interval:
    best = float(ndtr(deviations))
    return Interval(1 - best, 0.5, best)


def _trials(scores: Scores) -> list[PairedTrials]:
    """Of each column, decided by the threshold that is best for its shadows."""
    trials = []
    for knowing, unknowing, forgot, never_knew in zip(*(part.T for part in scores), strict=True):
        still_knows = Threshold.best(knowing, unknowing)
        trials.append(PairedTrials.of(still_knows(forgot), still_knows(never_knew)))
    return trials


def _rare_false_alarms(name: str, together: Scores, mu: float, confidence: float) -> ReadOut:
    """The true positive rate at a threshold that one in a hundred unknowing shadows exceeds."""
    at = np.quantile(together.unknowing, 1 - FALSE_POSITIVE_RATE, method="higher")
    trials = PairedTrials.of(together.forgot[:, 0] > at, together.never_knew[:, 0] > at)
    each = (1 + confidence) / 2
    false = trials.false_positive_rate(each)
    permitted = Interval(
        float(ndtr(ndtri(false.low) - mu)), false.value, float(ndtr(ndtri(false.high) + mu))
    )
    percent = f"{FALSE_POSITIVE_RATE:.0%}"
    return ReadOut(f"{name}: TPR at {percent} FPR", trials.true_positive_rate(each), permitted)
