"""The correctly rounded solution of A W = 2B, A = 2G + L I, and the proof that it is.

The optimum is a function of integers, but solvers differ in their last bits, so what
is released is the optimum rounded to the nearest multiple of 2^-g: then every
solver, machine and path releases the same bits.

Digits are gained a step at a time. Held are integers W (on the grid), T and the exact
residual

    R = 2^(g+f) 2B - A (2^f W + T)

and a step of s bits is X ~ A^-1 R by any approximate inverse, V = round(2^s X),
T <- 2^s T + V, R <- 2^s R - A V, f <- f + s. Since A >= L I, column by column,

    || 2^g W* - (W + 2^-f T) ||_2  <=  2^-f ||R||_2 / L

so the rounding is proven once every entry is farther than that from a half-integer.
No entry of 2^g W* is a half-integer (see ``objective``), so the loop ends.

R is computed modulo 2^64. That is the true R only while |R| < 2^63, which the same
sum in float64, with a bound on its error, must confirm at every step: without this
guard a wrapped R passes for a small one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import frexp, inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unlearning.errors import NotSolvableError
from unlearning.factor import ApproximateInverse
from unlearning.lattice import TARGETS
from unlearning.limbs import GramProduct
from unlearning.objective import GRID_BITS, Objective
from unlearning.statistics import Statistics

_STEPS = 64
_LARGEST_STEP = 30

_NORM_SLACK = 1 + 2.0**-30
"""Covers the rounding of a norm and of a margin in float64."""


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

    def report(self, objective: Objective, solver: str = "exact") -> SolveReport:
        """The gradient of L is -R / 2 in lattice units; lam bounds its curvature from below."""
        norm = float(np.sqrt(np.square(self.residual.astype(np.float64)).sum()))
        units = objective.features.step * TARGETS.step
        gradient_norm = norm * _NORM_SLACK * 2.0 ** -(GRID_BITS + 1) * units
        return SolveReport(
            solver, gradient_norm, gradient_norm / objective.ridge_in_real_units, True
        )


class _Expansion(NamedTuple):
    """W + 2^-f T with its exact residual R, and R_W, the residual of W alone at f = 0."""

    W: NDArray[np.int64]
    R_W: NDArray[np.int64]
    T: NDArray[Any]
    R: NDArray[np.int64]
    f: int


def solve(statistics: Statistics, inverse: ApproximateInverse) -> Solution:
    """Solves for the weights of the statistics, rounded correctly.

    Raises NotSolvableError if the inverse is too far from the statistics' to gain
    digits; a fresh one gains them for all statistics within capacity.
    """
    product = GramProduct.of(statistics)
    now = _start(statistics)
    for step in range(_STEPS):
        rounded = _proven(now, statistics.ridge)
        if rounded is not None:
            weights, margin = rounded
            residual = _residual_at(weights, now, product, statistics.ridge)
            return Solution(weights, residual, step, margin)
        now = _refine(now, product, statistics.ridge, inverse)
    raise NotSolvableError(f"no proof of the rounding after {_STEPS} refinements")


def _start(statistics: Statistics) -> _Expansion:
    """W = 0 at f = -g, where R = 2B and digits before the grid's are still to come."""
    zeros = np.zeros(statistics.B.shape, np.int64)
    return _Expansion(zeros, zeros, zeros, 2 * statistics.B.astype(np.int64), -GRID_BITS)


def _refine(
    now: _Expansion, product: GramProduct, ridge: int, inverse: ApproximateInverse
) -> _Expansion:
    """Gains digits: as many as one product takes, fewer if R would leave 64 bits."""
    X = inverse.solve(now.R.astype(np.float64))
    largest = float(np.abs(X).max())
    if not largest < 2.0**52:  # nor is a NaN
        raise NotSolvableError("the approximate inverse gave a value that no weight can have")
    bits = min(max(product.bits - frexp(largest)[1], 1), _LARGEST_STEP)
    if now.f < 0:
        bits = min(bits, -now.f)  # stop at the grid, where W is taken
    for s in range(bits, 0, -1):
        V = np.rint(np.ldexp(X, s))
        R = _subtract_product(now.R, s, V, product, ridge)
        if R is not None:
            return _advance(now, s, V, R)
    raise NotSolvableError("the approximate inverse is too far from A^-1 to gain a digit")


def _advance(now: _Expansion, s: int, V: NDArray[np.float64], R: NDArray[np.int64]) -> _Expansion:
    T, f = now.T, now.f + s
    if f > 60 or int(np.abs(T).max()) << s >= 2**60:
        T = T.astype(object)  # Python's integers have no end
    T = T * (1 << s) + V.astype(np.int64)
    if f == 0:
        return _Expansion(T.astype(np.int64), R, np.zeros(T.shape, np.int64), R, 0)
    return _Expansion(now.W, now.R_W, T, R, f)


def _subtract_product(
    R: NDArray[np.int64], s: int, V: NDArray[np.float64], product: GramProduct, ridge: int
) -> NDArray[np.int64] | None:
    """2^s R - A V, exact, or None where it cannot be shown to stay within 62 bits."""
    if not np.abs(V).max(initial=0.0) < 2.0**53:
        return None
    terms = [np.ldexp(R.astype(np.float64), s), -float(ridge) * V]
    modular = R.view(np.uint64) << np.uint64(s)
    modular -= _modular(V) * np.uint64(ridge)
    for power, digits in _digits(V, product):
        high, low = product(digits)
        terms += [-np.ldexp(high, power + 1), -np.ldexp(low, power + 1)]
        high = np.ldexp(high, -product.shift)
        modular -= _modular(high) << np.uint64(power + product.shift + 1)
        modular -= _modular(low) << np.uint64(power + 1)
    error = 2.0**-50 * sum(np.abs(term) for term in terms)
    if not (np.abs(sum(terms)) + error < 2.0**62).all():
        return None
    return modular.view(np.int64)


def _digits(
    V: NDArray[np.float64], product: GramProduct
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """V = sum 2^power digits, with digits whose product is exact; as a rule, V alone."""
    power = 0
    while np.abs(V).max(initial=0.0) > product.largest:
        higher = np.rint(np.ldexp(V, -product.bits))
        yield power, V - np.ldexp(higher, product.bits)
        V, power = higher, power + product.bits
    yield power, V


def _modular(integers: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Exact float64 integers modulo 2^64."""
    return integers.astype(np.int64).view(np.uint64)


def _proven(now: _Expansion, ridge: int) -> tuple[NDArray[np.int64], float] | None:
    """The rounded weights and the least margin, or None while the bound is too wide."""
    if now.f < 1:
        return None
    half, one = 1 << (now.f - 1), 1 << now.f
    norms = np.sqrt(np.square(now.R.astype(np.float64)).sum(axis=0))
    bound = norms * _NORM_SLACK / ridge
    distance = np.abs(now.T % one - half).astype(np.float64) - bound
    margin = float(distance.min(initial=inf))
    if margin <= 0:
        return None
    return now.W + ((now.T + half) // one).astype(np.int64), margin / one


def _residual_at(
    weights: NDArray[np.int64], now: _Expansion, product: GramProduct, ridge: int
) -> NDArray[np.int64]:
    """2^g 2B - A weights, from the residual of W, which is as a rule but a few digits off."""
    rest = (weights - now.W).astype(np.float64)
    if not rest.any():
        return now.R_W
    residual = _subtract_product(now.R_W, 0, rest, product, ridge)
    if residual is None:
        raise NotSolvableError("the residual of the rounded weights leaves 62 bits")
    return residual
