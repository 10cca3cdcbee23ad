"""What a release still reveals of the erased, as it is reported, and what that rests on.

EXACT and ZERO release the very bits of the retrained model, or the same noise on them:
mu = 0. What NEWTON leaves is told by ``calibration.shift``.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from math import inf, sqrt

from unlearning import gaussian_dp
from unlearning.calibration import excess_loss, scale_for
from unlearning.objective import Noise

FALSE_POSITIVE_RATE = 0.01
"""The false positive rate at which an attack's true positive rate is stated."""

DELTA = 1e-6
"""The delta at which epsilon is stated: a chance in a million that epsilon does not hold."""

ADVISED_NATS = 0.1
"""The noise that is advised leaves so much; attacks are still right 58.9 % of the time."""

EXACT_ASSUMPTIONS = (
    "the core was not trained on the erased samples",
    "the adversary does not hold the release before",
    "the retained samples were not chosen after seeing a release",
)
"""Of every release; EXACT and ZERO without noise need no other."""

NOISE_ASSUMPTION = "the operating system's random numbers cannot be predicted and were not kept"
"""Of a release with noise."""

NEWTON_ASSUMPTION = "the gradient on the retained samples was computed in float64"
"""Of what NEWTON released."""

INVERSE_HESSIAN_ASSUMPTION = (
    "errors of floating point in the inverse-Hessian noise are as large as was measured"
)
"""Of what NEWTON released with inverse-Hessian noise, besides."""


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


def bound(
    mu: float, cohort: int, assumptions: tuple[str, ...], differencing: float = inf
) -> InformationBound:
    """All that mu implies; of what is no number from 0 on, infinity.

    | mu       | nats | epsilon | delta | attack_accuracy | attack_tpr |
    | -------- | ---- | ------- | ----- | --------------- | ---------- |
    | 0        | 0    | 0       | 0     | 0.5             | 0.01       |
    | infinity | inf  | inf     | DELTA | 1               | 1          |
    | NaN, < 0 | inf  | inf     | DELTA | 1               | 1          |
    """
    mu = mu if mu >= 0 else inf
    return InformationBound(
        nats=gaussian_dp.nats(mu),
        gaussian_dp=mu,
        epsilon=gaussian_dp.epsilon(DELTA, mu),
        delta=DELTA if mu else 0.0,
        attack_accuracy=gaussian_dp.attack_accuracy(mu),
        attack_tpr=gaussian_dp.attack_tpr(mu, FALSE_POSITIVE_RATE),
        differencing_gaussian_dp=differencing,
        cohort=cohort,
        assumptions=assumptions,
    )


def advice(noise: Noise, gradient_norm: float, ridge: float, trace: float) -> str:
    """What NEWTON without noise, whose bound is infinite, says beside its assumptions.

    ``trace`` as in ``excess_loss``; numbers have two digits, rounded up.
    """
    scale = _two_digits(scale_for(sqrt(2 * ADVISED_NATS), noise, gradient_norm, ridge))
    return (
        "without noise nothing bounds what the solver's error tells: "
        f"{noise} noise of noise_scale {scale:g} would leave {ADVISED_NATS:g} nats, "
        f"and is expected to add {_two_digits(excess_loss(scale, trace)):g} to the objective"
    )


def _two_digits(value: float) -> float:
    return float(Context(prec=2, rounding=ROUND_CEILING).create_decimal_from_float(value))
