"""The correctly rounded solution of A W = 2B, A = 2G + L I, and the proof that it is.

The optimum is a function of integers, but solvers differ in their last bits, so what
is released is the optimum rounded to the nearest multiple of 2^-g: then every
solver, machine and path releases the same bits.

Digits are gained a step at a time. Held are integers W (on the grid), T and the exact
residual

    R = 2^(g+f) 2B - A (2^f W + T)

and a step of s bits is X ~ A^-1 R by any approximate inverse, V = round(2^s X),
T <- 2^s T + V, R <- 2^s R - A V, f <- f + s. What is still missing is A^-1 R, of which
Y ~ A^-1 R is a guess in float64. Since A >= L I, column by column,

    || A^-1 R - Y ||_2  <=  || R - A Y ||_2 / L

so the rounding is proven once every entry of W + 2^-f (T + Y) is farther than 2^-f times
that from a half-integer. No entry of 2^g W* is one (see ``objective``), so the loop ends.

R is exact: where its integers could have wrapped around, ``integers.Checked`` refuses them.
"""

from dataclasses import dataclass
from math import frexp, inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unlearning.errors import NotSolvableError
from unlearning.integers import Checked, times_rows
from unlearning.inverse import ApproximateInverse
from unlearning.lattice import TARGETS
from unlearning.objective import GRID_BITS, Objective
from unlearning.statistics import Statistics
from unlearning.system import NORM_SLACK, System

_STEPS = 64
_LARGEST_STEP = 30

_TOO_FAR = "the approximate inverse is too far from A^-1 to gain a digit"


@dataclass(frozen=True)
class SolveReport:
    """Evidence that depends on the released weights and the rows alone.

    Attributes:
        solver: ``exact``, or ``core`` for weights that no user data entered.
        gradient_norm: Frobenius norm of grad L at the released weights, in real units.
        distance_bound: upper bound on their distance to the optimum, in real units.
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
        weights: round(2^g W*), shape (d, C), int64.
        residual: 2^g 2B - A weights, exact, shape (d, C), int64.
        steps: refinements made; depends on the path, for the operator's eyes only.
        margin: least distance of an entry to a rounding boundary beyond the bound, in
            grid units; for the operator's eyes only.
    """

    weights: NDArray[np.int64]
    residual: NDArray[np.int64]
    steps: int
    margin: float

    @property
    def carried(self) -> "Carried":
        """To start from once rows have left."""
        return Carried(self.weights, self.residual)

    def report(self, objective: Objective, solver: str = "exact") -> SolveReport:
        """The gradient of L is -R / 2 in lattice units; lam bounds its curvature from below."""
        norm = float(np.sqrt(np.square(self.residual.astype(np.float64)).sum()))
        units = objective.features.step * TARGETS.step
        gradient_norm = norm * NORM_SLACK * 2.0 ** -(GRID_BITS + 1) * units
        return SolveReport(
            solver, gradient_norm, gradient_norm / objective.ridge_in_real_units, True
        )


class _Leading(NamedTuple):
    """The digits before the grid's point: 2^-f T with its exact residual R, f <= 0."""

    T: NDArray[np.int64]
    R: NDArray[np.int64]
    f: int


class _Expansion(NamedTuple):
    """W + 2^-f T with its exact residual R, and R_W, the residual of W alone."""

    W: NDArray[np.int64]
    R_W: NDArray[np.int64]
    T: NDArray[Any]
    R: NDArray[np.int64]
    f: int


class _Digits(NamedTuple):
    """s more bits: V = round(2^s X), and R <- 2^s R - A V."""

    s: int
    V: NDArray[np.int64]
    R: NDArray[np.int64]


class _Rounded(NamedTuple):
    weights: NDArray[np.int64]
    margin: float


class Carried(NamedTuple):
    """Weights to start from, on the grid, with their exact residual under the statistics."""

    weights: NDArray[np.int64]
    residual: NDArray[np.int64]


def without(carried: Carried, psi: NDArray[np.int16], t: NDArray[np.int64]) -> Carried | None:
    """The same weights with their residual once rows psi (k, d), targets t (k, C), have left.

        R - 2^g 2 psi' t + 2 psi' psi W  =  R - 2 psi' (2^g t - psi W)

    O(k d C) exact integer work; None where the result cannot be shown to be below 2^62.
    """
    rows = psi.astype(np.float64)
    errors = ((Checked.of(t) << GRID_BITS) - times_rows(rows, carried.weights)).exact()
    if errors is None:
        return None
    moved = times_rows(rows, errors, transpose=True) << 1
    residual = (Checked.of(carried.residual) - moved).exact()
    return None if residual is None else Carried(carried.weights, residual)


def solve(
    statistics: Statistics, inverse: ApproximateInverse, carried: Carried | None = None
) -> Solution:
    """Solves for the weights of the statistics, rounded correctly.

    With ``carried`` weights near the optimum only a correction is solved for.

    Raises NotSolvableError if the inverse is too far from the statistics' to gain
    digits; a fresh one gains them for all statistics within capacity.
    """
    A = System.of(statistics)
    now, step = _to_the_point(A, inverse, _start(statistics, carried))
    for refinements in range(step, _STEPS):
        Y = _correction(inverse, now.R)
        rounded = _proven(A, now, Y)
        if rounded is not None:
            residual = _residual_at(A, rounded.weights, now)
            return Solution(rounded.weights, residual, refinements, rounded.margin)
        now = _refine(A, now, Y)
    raise NotSolvableError(f"no proof of the rounding after {_STEPS} refinements")


def _start(statistics: Statistics, carried: Carried | None) -> _Leading:
    """From the carried weights, or from 0 at f = -g, where R = 2B."""
    if carried is not None:
        return _Leading(carried.weights, carried.residual, 0)
    moments = statistics.B.astype(np.int64)
    return _Leading(np.zeros_like(moments), 2 * moments, -GRID_BITS)


def _to_the_point(A: System, inverse: ApproximateInverse, now: _Leading) -> tuple[_Expansion, int]:
    """Gains digits until W has all that the grid has."""
    for step in range(1, _STEPS):
        digits = _digits(A, now.R, _correction(inverse, now.R), -now.f)
        if digits is None:
            raise NotSolvableError(_TOO_FAR)
        now = _Leading(now.T * (1 << digits.s) + digits.V, digits.R, now.f + digits.s)
        if now.f == 0:
            return _Expansion(now.T, now.R, np.zeros_like(now.T), now.R, 0), step
    raise NotSolvableError(f"the grid was not reached in {_STEPS} refinements")


def _refine(A: System, now: _Expansion, X: NDArray[np.float64]) -> _Expansion:
    """Gains digits of the fraction."""
    digits = _digits(A, now.R, X, _LARGEST_STEP)
    if digits is None or digits.s == 0:
        raise NotSolvableError(_TOO_FAR)
    T, f = now.T, now.f + digits.s
    if f > 60 or int(np.abs(T).max()) << digits.s >= 2**60:
        T = T.astype(object)  # Python's integers have no end
    return _Expansion(now.W, now.R_W, T * (1 << digits.s) + digits.V, digits.R, f)


def _correction(inverse: ApproximateInverse, R: NDArray[np.int64]) -> NDArray[np.float64]:
    X = inverse.solve(R.astype(np.float64))
    if not np.abs(X).max(initial=0.0) < 2.0**52:  # nor is a NaN
        raise NotSolvableError("the approximate inverse gave a value that no weight can have")
    return X


def _bits(X: NDArray[np.float64]) -> int:
    """The least b with |X| <= 2^b, up to one."""
    return frexp(float(np.abs(X).max()))[1]


def _digits(A: System, R: NDArray[np.int64], X: NDArray[np.float64], most: int) -> _Digits | None:
    """As many bits as one pass takes and R can bear, at most ``most``; None if not even 0."""
    s = min(most, max(A.bits - _bits(X), 1))
    while s >= 0:
        V = np.rint(np.ldexp(X, s))
        attempt = (Checked.of(R) << s) - A.times(V)
        exact = attempt.exact()
        if exact is not None:
            return _Digits(s, V.astype(np.int64), exact)
        s -= max(1, _bits(attempt.value) - 62)
    return None


def _proven(A: System, now: _Expansion, Y: NDArray[np.float64]) -> _Rounded | None:
    """Rounds W + 2^-f (T + Y); None while the truth may lie beyond a half-integer."""
    T, f, off = now.T, now.f, A.distance(now.R, Y)
    if f == 0:  # so that a half is an integer
        T, f, Y, off = 2 * T, 1, 2 * Y, 2 * off
    half, one = 1 << (f - 1), 1 << f
    # T + half = whole 2^f + rest, with rest about 0: its float64 is exact where it matters.
    whole = (T + half + half) // one
    rest = (T + half - whole * one).astype(np.float64)
    above = np.floor(np.ldexp(rest + Y, -f))
    nearest = np.rint(np.ldexp(rest + Y, -f))
    distance = np.abs(rest + Y - np.ldexp(nearest, f))
    margin = distance - off - 2.0**-50 * (np.abs(rest) + np.abs(Y))
    if not (margin > 0).all():
        return None
    weights = now.W + whole.astype(np.int64) + above.astype(np.int64)
    return _Rounded(weights, float(margin.min(initial=inf)) / one)


def _residual_at(A: System, weights: NDArray[np.int64], now: _Expansion) -> NDArray[np.int64]:
    """2^g 2B - A weights, from the residual of W, which is as a rule the same weights."""
    residual, rest = now.R_W, weights - now.W
    while rest.any():
        digits = np.clip(rest, -(1 << A.bits), 1 << A.bits)
        exact = (Checked.of(residual) - A.times(digits.astype(np.float64))).exact()
        if exact is None:
            raise NotSolvableError("the residual of the rounded weights leaves 62 bits")
        residual, rest = exact, rest - digits
    return residual
