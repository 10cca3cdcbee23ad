"""Whether released weights can be those of some rows, where noise or a solver kept bits apart."""

from collections.abc import Callable
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from unlearning.objective import Noise, Objective

_CHANCE = 1e-9
"""Of calling true weights wrong, since their noise was that large."""

_SLACK = 1.25
"""Noise is rounded, masked and known up to a relative error (see ``perturbation``)."""

_Floats = NDArray[np.float64]


def is_near(
    difference: _Floats,
    objective: Objective,
    gradient_norm: float,
    hessian: Callable[[_Floats], _Floats],
) -> bool:
    """Whether solvers and noise explain how far apart two releases' weights are.

    In the norm that the noise has no direction in: H^-1 g is at most ||g|| / lam long, and
    in that of H at most ||g|| / sqrt(lam).

    Args:
        difference: of released weights from others without noise, in real units.
        objective: of both.
        gradient_norm: sum of the norms of both before noise.
        hessian: the product with H, for weights of that shape.
    """
    lam, size = objective.ridge_in_real_units, difference.size
    noise = objective.noise_scale * sqrt(chi2.isf(_CHANCE, size)) * _SLACK
    if objective.noise_scale and objective.noise == Noise.INVERSE_HESSIAN:
        distance = sqrt(float((difference * hessian(difference)).sum()))
        return distance <= gradient_norm / sqrt(lam) + float(noise)
    rounding = sqrt(size) * float(objective.weight_unit)
    return float(np.linalg.norm(difference)) <= gradient_norm / lam + rounding + noise
