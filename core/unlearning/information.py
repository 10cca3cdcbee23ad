"""What an adversary can still learn: closed forms, no state.

A release that differs from the retrained one by a Gaussian shift of mu standard
deviations is mu-GDP (Dong, Roth and Su, 2019): no test tells the two apart better
than one that tells N(0, 1) from N(mu, 1). EXACT and ZERO release the very bits of
the retrained model, which is mu = 0.
"""

from dataclasses import dataclass
from math import inf

from scipy.special import ndtr, ndtri

FALSE_POSITIVE_RATE = 0.01
"""The false positive rate at which an attack's true positive rate is stated."""


@dataclass(frozen=True)
class InformationBound:
    """Upper bounds on what the release reveals of the erased samples.

    Attributes:
        nats: KL divergence from the retrained model's release.
        gaussian_dp: mu of mu-GDP.
        epsilon, delta: the (epsilon, delta)-DP that mu implies.
        attack_accuracy: of the best membership test under a balanced prior.
        attack_tpr: its true positive rate at a false positive rate of 1 %.
        differencing_gaussian_dp: mu against one who also holds the release before.
        cohort: subjects by whose samples the two releases differ.
        assumptions: what the numbers rest on, in words.
    """

    nats: float
    gaussian_dp: float
    epsilon: float
    delta: float
    attack_accuracy: float
    attack_tpr: float
    differencing_gaussian_dp: float
    cohort: int
    assumptions: tuple[str, ...]


EXACT_ASSUMPTIONS = (
    "the core was not trained on the erased samples",
    "the adversary does not hold the release before",
    "the retained samples were not chosen after seeing a release",
)


def exact_bound(cohort: int) -> InformationBound:
    """The bound of a release whose bits are those of the retrained model.

    Without noise, two releases in succession identify what was erased between
    them, so the differencing bound is infinite: it is the old release that leaks.
    """
    mu = 0.0
    return InformationBound(
        nats=mu**2 / 2,
        gaussian_dp=mu,
        epsilon=0.0,
        delta=0.0,
        attack_accuracy=float(ndtr(mu / 2)),
        attack_tpr=float(ndtr(ndtri(FALSE_POSITIVE_RATE) + mu)),
        differencing_gaussian_dp=inf,
        cohort=cohort,
        assumptions=EXACT_ASSUMPTIONS,
    )
