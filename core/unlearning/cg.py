r"""Preconditioned conjugate gradients for H x = b with a residual that can be believed.

The residual that the recursion carries drifts from the true one: in float32 it claims
1e-15 where the truth is 1e-7. So this is iterative refinement (Higham, Accuracy and
Stability, 2002, chapter 12): an inner run in fast products (Hestenes and Stiefel, 1952)
solves H d = r for a correction, and an outer step adds it in float64 and takes
r = b - H x anew in float64, which alone decides when to stop. Where H is so badly
conditioned that a run in fast products gains less than half, runs go on in precise ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unlearning.errors import NotSolvableError

MOST_ITERATIONS = 10_000
"""In all runs together; with condition 1e5 and no preconditioner some 500 are usual."""

_LONGEST_RUN = 2_000
"""Iterations after which the true residual is looked at in any case."""

_GAIN = 1e-4
"""What a run aims at: about what float32 has to give, so that few runs start over."""

_LEAST_GAIN = 0.5

_Floats = NDArray[np.float64]

Measure = Callable[[_Floats, _Floats], tuple[float, float]]
"""Of x and b - H x: how far off x is, and how far it may be."""

Progress = Callable[[int, float], None]
"""Told the iteration and the residual relative to the first one."""

Stop = Callable[[], None]
"""Called before each iteration; whatever it raises ends the solve."""


class Operator(Protocol):
    """A symmetric positive definite matrix, by its products."""

    def times(self, v: _Floats) -> _Floats:
        """H v, shape (p,)."""
        ...


class Preconditioner(Protocol):
    """A symmetric positive definite approximation of H^-1."""

    def solve(self, r: _Floats) -> _Floats:
        """About H^-1 r, shape (p,)."""
        ...


class Identity:
    """The preconditioner that changes nothing."""

    def solve(self, r: _Floats) -> _Floats:
        """Returns r."""
        return r


@dataclass(frozen=True)
class Solution:
    """Where it ended, and how it went.

    Attributes:
        value: x, shape (p,).
        distance: how far off it is, as measured.
        iterations: depends on the path, for the operator's eyes only.
    """

    value: _Floats
    distance: float
    iterations: int


def ignore(_iteration: int, _relative_residual: float) -> None:
    """Nobody watches."""


def go_on() -> None:
    """Nobody stops it."""


def solve(
    fast: Operator,
    precise: Operator,
    b: _Floats,
    start: _Floats,
    measure: Measure,
    preconditioner: Preconditioner | None = None,
    progress: Progress = ignore,
    stop: Stop = go_on,
) -> Solution:
    """Solves H x = b until x is as near as it need be, by a residual in float64.

    Args:
        fast: H in the arithmetic to iterate in.
        precise: H in float64.
        b: shape (p,).
        start: a guess of x, shape (p,); left as it is.
        measure: says so. What it takes for the distance must scale with the residual, and be
            finite where that is.
        preconditioner: as ``fast`` is, of no consequence but for time.
        progress: told how it goes.
        stop: may raise.

    Raises:
        NotSolvableError: if the residual does not get there.
    """
    x, r = start, b - precise.times(start)
    if not np.isfinite(r).all():
        raise NotSolvableError("the residual is not finite")
    run = _Run(fast, preconditioner or Identity(), _norm(r), progress, stop)
    distance, goal = measure(x, r)
    while distance > goal:
        if run.iterations >= MOST_ITERATIONS:
            raise _not_solvable(distance, goal, f"{run.iterations} iterations did not suffice")
        step = x + run.correction(r, max(_GAIN, goal / (2 * distance)))
        residual = b - precise.times(step)
        reached, goal_there = measure(step, residual)
        # Of the residual a run takes what it can; the distance may see only part of that.
        is_nearer = reached <= max(_LEAST_GAIN * distance, goal_there)
        gained = is_nearer or _norm(residual) <= _LEAST_GAIN * _norm(r)
        if not gained and run.operator is precise:
            raise _not_solvable(distance, goal, "it no longer gets smaller")
        if gained:
            x, r, distance, goal = step, residual, reached, goal_there
        else:
            run.operator = precise
    return Solution(x, distance, run.iterations)


class _Run:
    """Runs of conjugate gradients, which count their iterations together.

    Attributes:
        operator: H, whose products are taken.
        iterations: how many there were.
    """

    def __init__(
        self,
        operator: Operator,
        preconditioner: Preconditioner,
        first_norm: float,
        progress: Progress,
        stop: Stop,
    ) -> None:
        self.operator = operator
        self._preconditioner = preconditioner
        self._first_norm = first_norm
        self._progress = progress
        self._stop = stop
        self.iterations = 0

    def correction(self, r: _Floats, gain: float) -> _Floats:
        """About H^-1 r: runs until the recursive residual is ``gain`` times as large as r."""
        d, r, norm = np.zeros_like(r), r.copy(), _norm(r)
        goal = gain * norm
        z = self._preconditioner.solve(r)
        p, rz = z.copy(), float(r @ z)
        last = min(self.iterations + _LONGEST_RUN, MOST_ITERATIONS)
        while norm > goal and self.iterations < last:
            self._stop()
            q = self.operator.times(p)
            curvature = float(p @ q)
            if not (0 < rz < np.inf and 0 < curvature < np.inf):
                break  # rounding has spoilt the run; what it found is judged by the true residual
            d += rz / curvature * p
            r -= rz / curvature * q
            z = self._preconditioner.solve(r)
            rz, before = float(r @ z), rz
            p *= rz / before
            p += z
            norm = _norm(r)
            self.iterations += 1
            self._progress(self.iterations, norm / self._first_norm)
        return d


def _norm(v: _Floats) -> float:
    return float(np.linalg.norm(v))


def _not_solvable(norm: float, goal: float, why: str) -> NotSolvableError:
    return NotSolvableError(
        f"the residual is {norm:.3g} where {goal:.3g} is needed, and {why}: use a larger ridge"
    )
