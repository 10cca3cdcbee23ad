"""The correctly rounded solution of A W = 2B, A = 2G + L I, and the proof that it is.

The optimum is a function of integers, but solvers differ in their last bits, so what
is released is the optimum rounded to the nearest multiple of 2^-g: then every
solver, machine and path releases the same bits.

Its digits are gained until those that are missing do not matter (``expansion``): since
A >= L I, column by column,

    || A^-1 R - Y ||_2  <=  || R - A Y ||_2 / L

so a column is proven once each of its entries of W + 2^-f (T + Y) is farther than 2^-f
times that from a half-integer. None of 2^g W* is one (see ``objective``), so the loop ends.
The other columns go on from the guess Y + P (R - A Y), P any approximate inverse.

R is exact: where its integers could have wrapped around, ``integers.Checked`` refuses them.
What ends as Y starts the next solve: as rows leave, ``without`` moves it to where it
belongs, and nothing is solved from zero.
"""

from dataclasses import dataclass, replace
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unlearning import blas
from unlearning.errors import InconsistentStateError, NotSolvableError
from unlearning.expansion import Carried, Expansion
from unlearning.integers import Checked, times_rows
from unlearning.inverse import ApproximateInverse, Inverse
from unlearning.lattice import TARGETS
from unlearning.magnitude import at_least
from unlearning.objective import GRID_BITS, Objective
from unlearning.statistics import Statistics
from unlearning.system import NORM_SLACK, System

_STEPS = 64

_FRACTION = 14
"""Bits beyond the grid's point to gain at a time: as a rule, far more than the proof needs."""


@dataclass(frozen=True)
class SolveReport:
    """Evidence that depends on the released weights and the rows alone.

    Attributes:
        solver: ``exact``, or ``core`` for weights that no user data entered.
        gradient_norm: a power of ten, at least the Frobenius norm of grad L at the released
            weights before noise, in real units (see ``magnitude``).
        distance_bound: upper bound on the distance of those to the optimum, in real units.
        correctly_rounded: whether they are proven to be the rounded optimum.
    """

    solver: str
    gradient_norm: float
    distance_bound: float
    correctly_rounded: bool


@dataclass(frozen=True)
class Solution:
    """The rounded optimum, and how it went.

    Attributes:
        carried: the weights, round(2^g W*), with their residual 2^g 2B - A weights.
        steps: passes over A; depends on the path, for the operator's eyes only.
        margin: least distance of an entry to a rounding boundary beyond the bound, in
            grid units; for the operator's eyes only.
    """

    carried: Carried
    steps: int
    margin: float

    @property
    def weights(self) -> NDArray[np.int64]:
        """In grid units, shape (d, C)."""
        return self.carried.weights

    @property
    def residual(self) -> NDArray[np.int64]:
        """Exact, shape (d, C)."""
        return self.carried.residual

    def report(self, objective: Objective, solver: str = "exact") -> SolveReport:
        """The gradient of L is -R / 2 in lattice units; rounding moved no entry by half a unit."""
        norm = float(np.sqrt(np.square(self.residual.astype(np.float64)).sum()))
        units = objective.features.step * TARGETS.step
        gradient_norm = norm * NORM_SLACK * 2.0 ** -(GRID_BITS + 1) * units
        distance = 0.5 * float(objective.weight_unit) * sqrt(self.weights.size) * NORM_SLACK
        return SolveReport(solver, at_least(gradient_norm), distance, True)


class _Rounded(NamedTuple):
    """Weights (d, C), and their margins (C,): those of a column are proven if it is positive."""

    weights: NDArray[np.int64]
    margins: NDArray[np.float64]


def without(
    carried: Carried, inverse: Inverse, psi: NDArray[np.int16], t: NDArray[np.int64]
) -> Expansion:
    """Follows rows psi (k, d), targets t (k, C), as they leave; so does ``inverse``.

    The weights stay, and with the rows' errors E = 2^g t - psi W, exact,

        R <- R - 2 psi' E,   A^-1 R <- A^-1 R - U S^-1 (E - psi A^-1 R)

    (see ``inverse``). O(k d C) exact integer work. Raises NotSolvableError if the inverse
    cannot follow, or an error leaves 62 bits.
    """
    rows = psi.astype(np.float64)
    errors = ((Checked.of(t) << GRID_BITS) - times_rows(rows, carried.weights)).exact()
    if errors is None:
        raise NotSolvableError("the error of a row that leaves is beyond 62 bits")
    moved = times_rows(rows, errors, transpose=True) << 1
    at_the_optimum = errors - blas.product(rows, carried.missing)
    missing = carried.missing - inverse.remove(rows, at_the_optimum)
    return replace(Expansion.at(carried), R=Checked.of(carried.residual) - moved, Y=missing)


def check(statistics: Statistics, carried: Carried) -> None:
    """Compares the residual that is carried with 2^g 2B - A W, recomputed.

    Raises InconsistentStateError if they differ.
    """
    W = carried.weights.astype(np.float64)
    moments = Checked.of(statistics.B.astype(np.int64)) << (GRID_BITS + 1)
    residual = moments - System.of(statistics).times(W, W[:, :0]).exact
    if not np.array_equal(residual.modular.view(np.int64), carried.residual):
        raise InconsistentStateError("the residual carried is not that of the weights")


def solve(
    statistics: Statistics, inverse: ApproximateInverse, start: Expansion | None = None
) -> Solution:
    """Solves for the weights of the statistics, rounded correctly.

    From a ``start`` near the optimum only a correction is solved for.

    Raises NotSolvableError if the inverse is too far from the statistics' to gain
    digits; a fresh one gains them for all statistics within capacity.
    """
    A = System.of(statistics)
    now = start or Expansion.at_zero(statistics)
    X = now.Y if start else inverse.solve(now.rest)
    left = np.arange(X.shape[1])
    found = _empty(X.shape)
    margin, most = inf, -now.f
    for step in range(1, _STEPS):
        now = now.step(A, X, most)
        if now.f >= 0:
            rounded = _round(A, now)
            proven = rounded.margins > 0
            _keep(found, left[proven], _carried(A, now[proven], rounded.weights[:, proven]))
            margin = min(margin, float(rounded.margins[proven].min(initial=inf)))
            left, now = left[~proven], now[~proven]
        if not len(left):
            return Solution(found, step, margin)
        X, most = now.Y + inverse.solve(now.rest), -now.f if now.f < 0 else _FRACTION
    raise NotSolvableError(f"no proof of the rounding after {_STEPS} steps")


def _empty(shape: tuple[int, ...]) -> Carried:
    return Carried(
        np.empty(shape, np.int64, order="F"),
        np.empty(shape, np.int64, order="F"),
        np.empty(shape, order="F"),
    )


def _keep(found: Carried, columns: NDArray[np.intp], part: Carried) -> None:
    found.weights[:, columns] = part.weights
    found.residual[:, columns] = part.residual
    found.missing[:, columns] = part.missing


def _round(A: System, now: Expansion) -> _Rounded:
    """Rounds W + 2^-f (T + Y), and says by how much the truth can be told from a half-integer."""
    Y, one = now.Y, 1 << now.f
    if now.f == 0:  # T is 0, and half of 1 no integer
        whole, rest = np.ones_like(now.T), np.full_like(Y, -0.5)
    else:
        # T + half = whole 2^f + rest, with rest about 0: its float64 is exact where it matters.
        whole = (now.T + one) // one
        rest = (now.T + (one >> 1) - whole * one).astype(np.float64)
    units = (rest + Y) * 2.0**-now.f
    distance = np.abs(rest + Y - np.rint(units) * 2.0**now.f)
    off = A.distance(now.R.value, Y, now.rest)
    margins = (distance - off - 2.0**-50 * (np.abs(rest) + np.abs(Y))).min(axis=0)
    weights = now.W + whole.astype(np.int64) + np.floor(units).astype(np.int64)
    return _Rounded(weights, margins / one)


def _carried(A: System, now: Expansion, weights: NDArray[np.int64]) -> Carried:
    """The weights with their residual, from that of W, which is as a rule the same weights."""
    moved = weights - now.W
    missing = (now.T.astype(np.float64) + now.Y) * 2.0**-now.f - moved
    if not moved.any():
        return Carried(weights, now.R_W, missing)
    product = A.times(moved.astype(np.float64), np.zeros((len(moved), 0)))
    residual = (Checked.of(now.R_W) - product.exact).exact()
    if residual is None:
        raise NotSolvableError("the residual of the rounded weights leaves 62 bits")
    return Carried(weights, residual, missing)
