"""Chebyshev's iteration of a fixed degree: x = p(H) b, about H^-1 b, and linear in b.

For Gaussian noise of covariance H^-1, H x = b is solved for b of covariance H. Conjugate
gradients choose their polynomial by b, so that their x is not Gaussian; this p depends on
the bounds of the spectrum alone (Golub and Varga, 1961; Saad, Iterative Methods for Sparse
Linear Systems, 2003, algorithm 12.1). With T_k Chebyshev's polynomial of degree k,

    1 - h p(h) = T_k((high + low - 2h) / (high - low)) / T_k((high + low) / (high - low))

and so |1 - h p(h)| <= eps = 1 / T_k((high + low) / (high - low)) on the spectrum: in the
norm ||v||_H = sqrt(v' H v), as in any that commutes with H,

    ||x - H^-1 b||_H <= eps ||H^-1 b||_H

For noise of covariance Sigma = sigma^2 p(H)^2 H and a shift H^-1 g, with all that commutes,

    mu^2 = g' H^-1 Sigma^-1 H^-1 g = g' H^-1 (H p(H))^-2 g / sigma^2
        <= (1 - eps)^-2 g' H^-1 g / sigma^2

since H p(H) >= 1 - eps: mu grows by at most 1 / (1 - eps).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import acosh, ceil, cosh, log1p, sqrt

import numpy as np
from numpy.typing import NDArray

from unlearning.gaussian_dp import round_up
from unlearning.noise import Source, standard_normal

_Floats = NDArray[np.float64]

Operator = Callable[[_Floats], _Floats]
"""v to H v, both of shape (p,), for symmetric H."""

_PRODUCTS = 72
"""Of the bound on an eigenvalue: with fewer it is looser, and the iteration longer."""

_CHANCE_BITS = 60
"""The bound on an eigenvalue fails with a chance of at most 2^-60."""


@dataclass(frozen=True)
class Solution:
    """x = p(H) b, shape (p,), and how far it may be off.

    Attributes:
        relative_error: eps, by which p(H) may differ from H^-1; whatever b is.
        rounding_error: ||x - p(H) b||_2 by floating point, as measured: the gap between the
            residual that the recurrence carries and b - H x, over ``low``.
        products: how many times H was applied.
    """

    value: _Floats
    relative_error: float
    rounding_error: float
    products: int


def degree(low: float, high: float, relative_error: float) -> int:
    """The least degree for which eps is at most ``relative_error``, above 0 and below 1."""
    if low == high:
        return 1
    return max(1, ceil(acosh(1 / relative_error) / _rate(low, high)))


def solve(
    operator: Operator, b: _Floats, low: float, high: float, relative_error: float
) -> Solution:
    """Solves H x = b, shape (p,), for a spectrum within 0 < low <= high, to a relative error."""
    k = degree(low, high, relative_error)
    centre, radius = (high + low) / 2, (high - low) / 2
    residual, step, x = b, b / centre, np.zeros_like(b)
    ratio = radius / centre  # T_j / T_(j+1), at the centre over the radius
    for _ in range(k):
        x = x + step
        residual = residual - operator(step)
        following = radius / (2 * centre - radius * ratio)
        step = following * ratio * step + 2 / (2 * centre - radius * ratio) * residual
        ratio = following
    gap = float(np.linalg.norm(b - operator(x) - residual))
    error = 0.0 if low == high else round_up(1 / cosh(k * _rate(low, high)))
    return Solution(x, error, gap / low, k + 1)


def _rate(low: float, high: float) -> float:
    """arcosh((high + low) / (high - low)), without cancellation where high is far above low."""
    beyond = 2 * low / (high - low)
    return log1p(beyond + sqrt(beyond * (2 + beyond)))


def largest_eigenvalue(operator: Operator, size: int, source: Source = os.urandom) -> float:
    """An upper bound on the largest eigenvalue of H >= 0, but for a chance of 2^-60.

    For a standard Gaussian x and v the first eigenvector, ||H^k x|| >= lambda^k |v'x|, and
    |v'x| is below c with a chance of less than c sqrt(2 / pi). Hence

        lambda <= (||H^k x|| / c)^(1/k),   c = 2^-60 sqrt(pi / 2)

    (Dixon, Estimating extremal eigenvalues and condition numbers of matrices, 1983). It is
    too large by at most (||x|| / c)^(1/k): a factor of 2 for a million weights.
    """
    x = standard_normal(size, source)
    log_norm = 0.0
    for _ in range(_PRODUCTS):
        x = operator(x)
        norm = float(np.linalg.norm(x))
        if norm == 0:
            return 0.0
        log_norm += np.log(norm)
        x = x / norm
    floor = np.log(2.0**-_CHANCE_BITS * sqrt(np.pi / 2))
    return round_up(float(np.exp((log_norm - floor) / _PRODUCTS)))
