"""Noise on a release: what mu it gives, what scale a wanted mu needs, and what it costs.

With H >= lam I the Hessian on the retained data, w* their optimum and g the gradient at w,

    w - w* = H^-1 g

With noise N(0, Sigma) on w as on w*, a release and the retrained one are a Gaussian shift
of mu = ||Sigma^-1/2 H^-1 g|| apart, and the noise adds tr(H Sigma) / 2 to the loss:

    Sigma = sigma^2 I       mu <= ||g|| / (lam sigma)         sigma^2 tr(H) / 2
    Sigma = sigma^2 H^-1    mu <= ||g|| / (sqrt(lam) sigma)   sigma^2 p / 2

H is the same under both, since it belongs to the retained data. Every number is an upper
bound, rounded up: 0 only where it is 0, infinity where a divisor is 0 or an input is no number.
"""

from math import inf, sqrt

from unlearning.gaussian_dp import compose, round_up
from unlearning.objective import Noise


def shift(
    noise: Noise, gradient_norm: float, ridge: float, scale: float, relative_error: float = 0.0
) -> float:
    """The mu that separates a release from the retrained one, given ||g||, lam and sigma.

    Inverse-Hessian noise known up to a relative error (see ``chebyshev``) has it larger by
    1 / (1 - relative_error).

    | gradient_norm | scale | relative_error | mu  |
    | ------------- | ----- | -------------- | --- |
    | 0             | any   | any            | 0   |
    | > 0           | 0     | any            | inf |
    | > 0           | > 0   | >= 1           | inf |
    | NaN           | any   | any            | inf |
    """
    return _quotient(gradient_norm, *_curvature(noise, ridge, relative_error), scale)


def scale_for(
    mu: float, noise: Noise, gradient_norm: float, ridge: float, relative_error: float = 0.0
) -> float:
    """The sigma with which ``shift`` is mu; for so many nats, mu = sqrt(2 nats)."""
    return _quotient(gradient_norm, *_curvature(noise, ridge, relative_error), mu)


def excess_loss(scale: float, trace: float) -> float:
    """What noise is expected to add to the objective, sum form: sigma^2 trace / 2.

    ``trace`` is tr(H) for ISOTROPIC, and for INVERSE_HESSIAN tr(H H^-1) = p, the number of
    weights: where each output has its own, that of all outputs together.
    """
    return round_up(scale * scale / 2 * trace) if scale and trace else 0.0


def differencing_shift(noise: Noise, distance: float, scale: float, left: float = 0.0) -> float:
    """The mu against one who also holds the release before; infinity for INVERSE_HESSIAN.

    ``distance`` is that of the unperturbed weights of the two releases; ``left`` the mu of
    this release. Had the erased never been there, both would be w* with fresh noise: the one
    before is off by at most distance / sigma + left, and this one by left.
    The covariances of inverse-Hessian noise differ, and that alone identifies.
    """
    if noise != Noise.ISOTROPIC:
        return inf
    before = _quotient(distance, scale) + left
    return compose((before, left))


def rounding_shift(error: float, mask: float) -> float:
    """What errors in a noise add to mu: 2 error / mask, by the last, isotropic part of it.

    The noise is computed without w, so its errors, of 2-norm at most ``error``, have one law
    under w and w*. Masked by N(0, mask^2 I), what is released is error / mask-GDP from the
    ideal one under both, and along a chain mu adds up, as in a group (Dong et al.). The mask
    itself, and the rounding to a grid after it, lose nothing (see ``noise.perturb``).
    """
    return _quotient(error, mask, 0.5)


def _curvature(noise: Noise, ridge: float, relative_error: float) -> tuple[float, ...]:
    if noise == Noise.ISOTROPIC:
        return (ridge,)
    return sqrt(ridge), 1 - relative_error


def _quotient(numerator: float, *divisors: float) -> float:
    """Divides by one after the other, rounding up."""
    if numerator == 0:
        return 0.0
    for divisor in divisors:
        if not (divisor > 0 and numerator > 0):
            return inf
        numerator = round_up(numerator / divisor)
    return numerator
