"""What is released of a solution by conjugate gradients, and what its error tells.

A cold solution is a function of the rows held alone: retraining releases the same, whatever
the solver left undone, so its mu is 0. One that descends from earlier ones is off by H^-1 g,
which noise hides as far as ``calibration.shift`` says; nothing does without noise.
"""

from collections.abc import Callable
from math import inf

import numpy as np

from unlearning.calibration import shift
from unlearning.information import (
    INVERSE_HESSIAN_ASSUMPTION,
    NEWTON_ASSUMPTION,
    advice,
)
from unlearning.lineage import Lineage
from unlearning.magnitude import at_least
from unlearning.objective import Noise, Objective
from unlearning.perturbation import Perturbed, perturb_tangent
from unlearning.release import Leakage, Release
from unlearning.ridge import Hessian, Solution

_PROBES = 8
"""Random vectors that estimate a trace; each is off by some root of 2 / (n C)."""


def release(
    objective: Objective,
    solution: Solution,
    solver: str,
    lineage: Lineage,
    hessian: Callable[[], Hessian],
) -> Release:
    """Adds the objective's noise to a solution, and the solution to its lineage.

    ``hessian`` is that of the rows held, in float64; it is asked for only where it is needed.
    Raises InvalidInputError for noise that is too small for weights of this size.
    """
    perturbed = Perturbed(solution.weights, 0.0, 0.0)
    if objective.noise_scale:
        perturbed = perturb_tangent(
            solution.weights, hessian, objective.noise, objective.noise_scale
        )
    mu, assumptions = 0.0, tuple[str, ...]()
    if not solution.is_cold:
        mu, assumptions = _left(objective, solution, perturbed, hessian)
    lineage.add(objective, solution.weights, mu, descends=not solution.is_cold)
    return Release(
        objective.grid(perturbed.weights),
        solution.report(objective, solver),
        Leakage.of(lineage, objective, *assumptions),
        solution.steps,
        margin=None,
    )


def _left(
    objective: Objective,
    solution: Solution,
    perturbed: Perturbed,
    hessian: Callable[[], Hessian],
) -> tuple[float, tuple[str, ...]]:
    """The mu of what the solver left undone, and what it rests on."""
    lam, norm = objective.ridge_in_real_units, solution.gradient_norm
    if not objective.noise_scale:
        return inf, (advice(objective.noise, norm, lam, _trace(hessian())),)
    mu = shift(objective.noise, norm, lam, objective.noise_scale, perturbed.relative_error)
    if objective.noise == Noise.INVERSE_HESSIAN:
        mu += at_least(perturbed.rounding_shift)
        return mu, (NEWTON_ASSUMPTION, INVERSE_HESSIAN_ASSUMPTION)
    return mu, (NEWTON_ASSUMPTION,)


def _trace(hessian: Hessian) -> float:
    """About tr(H), by E||J'u||^2 = tr(J J') for random signs u (Hutchinson, 1989)."""
    J = hessian.jacobian
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (_PROBES, J.rows, J.outputs))
    squares = [float(np.square(J.rmatvec(u)).sum()) for u in signs]
    return sum(squares) / _PROBES + hessian.ridge * J.parameters
