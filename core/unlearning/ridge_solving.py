r"""Two ways to the minimiser of a ridge problem: by its weights, or by its rows' coefficients.

    by weights         H w = J't
    by coefficients    (K + lam I) a = t,   w = J'a     (see ``tangent_kernel``)

Coefficients have a preconditioner, and are the way for rows that can be fitted. Where they
contradict each other at a small ridge, a = (t - J w) / lam is large and J'a loses to rounding
what weights do not.

Each ends where ||g(w)||, recomputed in float64, is within a tolerance,

    the largest power of ten <= accuracy lam ||w||,

and that is told in place of ||g||: where within it a solve ends depends on where it began, and
so on whoever was erased. Solving to half of it leaves room for what rounding adds to a bound.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unlearning import cg
from unlearning.cg import Preconditioner, Progress, Stop
from unlearning.magnitude import at_most
from unlearning.ridge import RidgeProblem

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """Weights, shape (p,), and the coefficients that they were found by, shape (n, C) or (0, C).

    Attributes:
        tolerance: of ||g||.
    """

    weights: _Floats
    coefficients: _Floats
    iterations: int
    tolerance: float


def by_weights(
    problem: RidgeProblem, start: _Floats, accuracy: float, progress: Progress, stop: Stop
) -> Found:
    """Solves to an accuracy; raises NotSolvableError as ``cg.solve`` does."""

    def measure(w: _Floats, r: _Floats) -> tuple[float, float]:
        return _norm(r), _tolerance(problem, accuracy, w) / 2

    found = cg.solve(
        problem.fast,
        problem.precise,
        problem.moments(),
        start,
        measure,
        progress=progress,
        stop=stop,
    )
    w = found.value
    tolerance = _tolerance(problem, accuracy, w)
    return Found(w, problem.targets[:0], found.iterations, tolerance)


def by_coefficients(
    problem: RidgeProblem,
    start: _Floats,
    accuracy: float,
    preconditioner: Preconditioner | None,
    progress: Progress,
    stop: Stop,
) -> Found:
    """The same from coefficients, shape (n, C)."""
    J = problem.precise.jacobian

    def measure(a: _Floats, r: _Floats) -> tuple[float, float]:
        w, gradient = (J.rmatvec(v.reshape(start.shape)) for v in (a, r))
        return _norm(gradient), _tolerance(problem, accuracy, w) / 2

    found = cg.solve(
        *problem.kernels(),
        problem.targets.ravel(),
        start.ravel(),
        measure,
        preconditioner,
        progress,
        stop,
    )
    a = found.value.reshape(start.shape)
    w = J.rmatvec(a)
    return Found(w, a, found.iterations, _tolerance(problem, accuracy, w))


def _tolerance(problem: RidgeProblem, accuracy: float, w: _Floats) -> float:
    return at_most(accuracy * problem.precise.ridge * _norm(w))


def _norm(v: _Floats) -> float:
    return float(np.linalg.norm(v))
