"""Noise on the weights of a release: sigma^2 I, or sigma^2 H^-1 with H their Hessian.

    FEATURES   H = step^2 A / 2 for each output, A = 2G + L I = K K', x = K^-T z
    TANGENT    H x = J'z + sqrt(lam) z',  whose right-hand side has covariance H

A is factored anew: the inverse that is kept has followed rows as they left, and its last
bits remember them. H x is solved to a fixed degree (see ``chebyshev``).

Inverse-Hessian noise is computed in floating point, so that it is not quite Gaussian. It is
masked with isotropic noise of standard deviation MASK sigma / sqrt(high), high >= ||H||,
which is exact: what the errors then add to mu is told with the weights, and it costs at most
MASK^2 of the loss that the noise costs. With FEATURES the weights are those of the
retrained model and the noise is one function of what remains: its errors tell nothing.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from unlearning import blas, chebyshev
from unlearning.calibration import rounding_shift
from unlearning.inverse import factor
from unlearning.noise import ERROR, Source, perturb, standard_normal
from unlearning.objective import Noise, Objective
from unlearning.ridge import Hessian
from unlearning.statistics import Statistics

MASK = 2.0**-3

RELATIVE_ERROR = 2.0**-5
"""Of the noise's covariance root in TANGENT: mu is 1.033 times that of the exact one."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Perturbed:
    """Weights to release, shape (p,), and what makes their mu larger than that of the noise.

    Attributes:
        relative_error: of the noise; see ``calibration.shift``.
        rounding_shift: what its errors of floating point add to mu, as measured.
    """

    weights: _Floats
    relative_error: float
    rounding_shift: float


def perturb_features(
    objective: Objective,
    statistics: Statistics,
    weights: NDArray[np.int64],
    noise: Noise,
    scale: float,
    source: Source = os.urandom,
) -> _Floats:
    """Real weights to release, shape (d, C), from the exact ones on the grid.

    Raises InvalidInputError for a scale that is too small for them, and NotSolvableError if
    A is not definite in float64.
    """
    W = objective.weights(weights)
    if noise == Noise.ISOTROPIC:
        return perturb(W, scale, source)
    unit = objective.features.step / sqrt(2)
    A_trace = 2.0 * float(statistics.G.diagonal.sum()) + len(W) * float(statistics.ridge)
    Z = standard_normal(W.size, source).reshape(W.shape)
    X = blas.solve_factored_transposed(factor(statistics), Z) / unit
    return perturb(W + scale * X, MASK * scale / (unit * sqrt(A_trace)), source)


def perturb_tangent(
    w: _Floats,
    hessian: Callable[[], Hessian],
    noise: Noise,
    scale: float,
    source: Source = os.urandom,
) -> Perturbed:
    """Weights to release from the unperturbed ones, shape (p,).

    H, in float64, is asked for only where the noise has its shape. Raises InvalidInputError
    for a scale that is too small for the weights.
    """
    if noise == Noise.ISOTROPIC:
        return Perturbed(perturb(w, scale, source), 0.0, 0.0)
    H = hessian()
    high = max(chebyshev.largest_eigenvalue(H.times, len(w), source), H.ridge)
    x, error = _inverse_hessian(H, len(w), high, source)
    mask = MASK * scale / sqrt(high)
    moved = w + scale * x.value
    error = scale * error + 2.0**-52 * float(np.linalg.norm(moved))
    released = perturb(moved, mask, source)
    return Perturbed(released, x.relative_error, rounding_shift(error, mask))


def _inverse_hessian(
    hessian: Hessian, size: int, high: float, source: Source
) -> tuple[chebyshev.Solution, float]:
    """Noise of covariance about H^-1, and by how much floating point has it wrong.

    Besides what the iteration measures: z and J'z to a relative 2^-45, of norm at most
    sqrt(high) ||z||, of which H^-1 makes 1 / lam.
    """
    J, lam = hessian.jacobian, hessian.ridge
    z = standard_normal(J.rows * J.outputs + size, source)
    b = J.rmatvec(z[size:].reshape(J.rows, J.outputs)) + sqrt(lam) * z[:size]
    x = chebyshev.solve(hessian.times, b, lam, high, RELATIVE_ERROR)
    drawn = ERROR * sqrt(high) * float(np.linalg.norm(z)) / lam
    return x, x.rounding_error + drawn
