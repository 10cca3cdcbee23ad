"""Conjugate gradients with several preconditioners, all to the same gradient.

In the weights, H w = J't, as they were solved for once; or in the rows' coefficients, as
``newton`` solves for them now.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from tests.benchmarks import kfac
from tests.benchmarks.tangent_task import Rows, Tangent
from unlearning import cg
from unlearning.cg import Measure, Operator, Preconditioner
from unlearning.linearized import Floats, Jacobian
from unlearning.ridge import RidgeProblem
from unlearning.tangent_kernel import KernelPreconditioner

TOLERANCE = 1e-6
"""Of the gradient, relative to ||J't||."""

MOST_ITERATIONS = 1_000


class CapError(Exception):
    """A solve took as many iterations as it may."""


class Watch:
    """Follows a solve, and ends it after so many iterations."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.iterations, self.residual = 0, 1.0

    def progress(self, iteration: int, residual: float) -> None:
        self.iterations, self.residual = iteration, residual

    def stop(self) -> None:
        if self.iterations >= self._most:
            raise CapError


class Diagonal:
    """1 / (scale diag(J_m'J_m) + lam), the diagonal taken exactly, row by row of J_m."""

    def __init__(self, J: Jacobian, scale: float, lam: float) -> None:
        units = np.eye(J.rows * J.outputs).reshape(-1, J.rows, J.outputs)
        squares = sum(np.square(J.rmatvec(unit)) for unit in units)
        self._inverse = 1 / (scale * squares + lam)

    def solve(self, r: Floats) -> Floats:
        return self._inverse * r


Make = Callable[[Tangent, RidgeProblem], Preconditioner]


def _diagonal(tangent: Tangent, _: RidgeProblem) -> Preconditioner:
    core = _core_rows(tangent)
    J = tangent.network.jacobian(core, double=False)
    return Diagonal(J, len(tangent.psi) / len(core), tangent.lam)


def _kronecker(tangent: Tangent, _: RidgeProblem) -> Preconditioner:
    core, rows = _core_rows(tangent), len(tangent.psi)
    return kfac.preconditioner(tangent.network, core, rows, tangent.lam)


def _core_rows(tangent: Tangent) -> Rows:
    return tangent.psi[tangent.task.is_core]


def mean_kernel(problem: RidgeProblem) -> Preconditioner:
    values = problem.fast.jacobian.mean_kernel(cg.go_on)
    assert values is not None, "these rows fit in memory"
    return KernelPreconditioner(values, problem.fast.ridge)


@dataclass(frozen=True)
class System:
    """What is solved, and how far its gradient is from zero: ``measure`` for ``cg.solve``.

    Attributes:
        weights: w of a solution x.
    """

    fast: Operator
    precise: Operator
    right: Floats
    measure: Measure
    weights: Callable[[Floats], Floats]


def in_weights(problem: RidgeProblem) -> System:
    """H w = J't, whose residual is the gradient."""
    b = problem.moments()
    goal = TOLERANCE * _norm(b)
    return System(problem.fast, problem.precise, b, lambda _, r: (_norm(r), goal), lambda w: w)


def in_coefficients(problem: RidgeProblem) -> System:
    """(K + lam I) a = t, whose gradient is -J'r."""
    goal, J = TOLERANCE * _norm(problem.moments()), problem.precise.jacobian

    def weights(a: Floats) -> Floats:
        return J.rmatvec(a.reshape(J.rows, -1))

    return System(
        *problem.kernels(),
        problem.targets.ravel(),
        lambda _, r: (_norm(weights(r)), goal),
        weights,
    )


@dataclass(frozen=True)
class Way:
    """To solve: in which unknowns, and with which preconditioner."""

    system: Callable[[RidgeProblem], System]
    make: Make | None


PLAIN, OURS = "none", "mean tangent kernel"
WAYS: dict[str, Way] = {
    PLAIN: Way(in_weights, None),
    "diagonal": Way(in_weights, _diagonal),
    "K-FAC": Way(in_weights, _kronecker),
    "none, in coefficients": Way(in_coefficients, None),
    OURS: Way(in_coefficients, lambda _tangent, problem: mean_kernel(problem)),
}


def solved(
    system: System, preconditioner: Preconditioner | None, watch: Watch | None = None
) -> cg.Solution:
    """From zero; raises CapError if the watch says so."""
    return cg.solve(
        system.fast,
        system.precise,
        system.right,
        np.zeros_like(system.right),
        system.measure,
        preconditioner,
        watch.progress if watch else cg.ignore,
        watch.stop if watch else cg.go_on,
    )


@dataclass(frozen=True)
class Solve:
    """One solve from zero.

    Attributes:
        setup_seconds: making the preconditioner.
        seconds: the iterations, and the true gradients between runs of them.
        gradient: relative to ||J't||; where the cap was hit the recursion's residual.
    """

    rows: int
    scope: str
    ridge: float
    preconditioner: str
    setup_seconds: float
    seconds: float
    iterations: int
    gradient: float
    reached: bool
    accuracy: float | None

    @property
    def problem(self) -> tuple[int, str, float]:
        """What was solved."""
        return self.rows, self.scope, self.ridge


def solve(tangent: Tangent, name: str, most: int) -> Solve:
    """Conjugate gradients as ``newton`` runs them, but for the goal and what is compared."""
    way, problem, watch = WAYS[name], tangent.problem(), Watch(most)
    system = way.system(problem)
    began = perf_counter()
    preconditioner = way.make(tangent, problem) if way.make else None
    made = perf_counter()
    found = None
    with suppress(CapError):
        found = solved(system, preconditioner, watch)
    seconds = perf_counter() - made
    return Solve(
        len(tangent.psi),
        tangent.scope,
        tangent.ridge,
        name,
        made - began,
        seconds,
        watch.iterations,
        found.distance / _norm(problem.moments()) if found else watch.residual,
        found is not None,
        tangent.accuracy(system.weights(found.value)) if found else None,
    )


def _norm(v: Floats) -> float:
    return float(np.linalg.norm(v))
