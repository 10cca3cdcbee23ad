r"""Two ways to the minimiser of a ridge problem: by its weights, or by its rows' coefficients.

    by weights         H w = J't
    by coefficients    (K + lam I) a = t,   w = J'a     (see ``tangent_kernel``)

Each ends where ||g(w)||, recomputed in float64, is small enough. Coefficients have a
preconditioner, and are the way for rows that can be fitted. Where they contradict each other
at a small ridge, a = (t - J w) / lam is large and J'a loses to rounding what weights do not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unlearning import cg
from unlearning.cg import Preconditioner, Progress, Stop
from unlearning.ridge import RidgeProblem

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """Weights, shape (p,), and the coefficients that they were found by, shape (n, C) or (0, C)."""

    weights: _Floats
    coefficients: _Floats
    iterations: int


def by_weights(
    problem: RidgeProblem, start: _Floats, accuracy: float, progress: Progress, stop: Stop
) -> Found:
    """Solves until ||g|| <= accuracy lam ||w||; raises NotSolvableError as ``cg.solve`` does."""
    lam = problem.precise.ridge

    def measure(w: _Floats, r: _Floats) -> tuple[float, float]:
        return _norm(r), accuracy * lam * _norm(w)

    found = cg.solve(
        problem.fast,
        problem.precise,
        problem.moments(),
        start,
        measure,
        progress=progress,
        stop=stop,
    )
    return Found(found.value, problem.targets[:0], found.iterations)


def by_coefficients(
    problem: RidgeProblem,
    start: _Floats,
    accuracy: float,
    preconditioner: Preconditioner | None,
    progress: Progress,
    stop: Stop,
) -> Found:
    """The same from coefficients, shape (n, C)."""
    J, lam = problem.precise.jacobian, problem.precise.ridge

    def measure(a: _Floats, r: _Floats) -> tuple[float, float]:
        w, gradient = (J.rmatvec(v.reshape(start.shape)) for v in (a, r))
        return _norm(gradient), accuracy * lam * _norm(w)

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
    return Found(J.rmatvec(a), a, found.iterations)


def _norm(v: _Floats) -> float:
    return float(np.linalg.norm(v))
