"""Slow and obviously right versions, for tests.

Of the exact engine in rational arithmetic; of the linearised network with J written out.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearning.linearized import Jacobian
from unlearning.objective import GRID_BITS

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]


def gram_and_moments(psi: Integers, t: Integers) -> tuple[NDArray[Any], NDArray[Any]]:
    """G = sum psi psi' and B = sum psi t' in Python's integers."""
    rows = psi.astype(object)
    return rows.T @ rows, rows.T @ t.astype(object)


def rational_solution(psi: Integers, t: Integers, ridge: int) -> NDArray[Any]:
    """W* = (2G + L I)^-1 2B, shape (d, C), as exact fractions, by Gauss-Jordan elimination."""
    G, B = gram_and_moments(psi, t)
    return _rational_solve(2 * G + ridge * np.eye(len(G), dtype=int).astype(object), 2 * B)


def _rational_solve(A: NDArray[Any], B: NDArray[Any]) -> NDArray[Any]:
    """A^-1 B for a positive definite A (d, d): no pivot is zero."""
    d = len(A)
    rows = _fractions(np.hstack([A, B]))
    for pivot in range(d):
        rows[pivot] = rows[pivot] / rows[pivot, pivot]
        for other in range(d):
            if other != pivot:
                rows[other] = rows[other] - rows[other, pivot] * rows[pivot]
    return np.asarray(rows[:, d:])


_fractions = np.vectorize(Fraction, otypes=[object])


def rational_residuals(
    psi: NDArray[Any], t: NDArray[Any], a: NDArray[Any], ridge: Fraction
) -> NDArray[Any]:
    """Residuals t - W' psi, shape (n, C), of the ridge fit of rows (n, d) weighted by a (n,)."""
    psi, t = _fractions(psi), _fractions(t)
    weighted = (psi * a[:, None]).T
    A = weighted @ psi + ridge * np.eye(psi.shape[1], dtype=int).astype(object)
    return np.asarray(t - psi @ _rational_solve(A, weighted @ t))


def rational_residuals_left_out(
    psi: NDArray[Any], t: NDArray[Any], groups: Integers, a: NDArray[Any], ridge: Fraction
) -> NDArray[Any]:
    """The same of each row under the fit without its group."""
    residuals = np.empty(t.shape, object)
    for group in np.unique(groups):
        out = groups == group
        residuals[out] = rational_residuals(psi, t, a * ~out, ridge)[out]
    return residuals


def rational_derivatives(
    error: Callable[[NDArray[Any]], Fraction], a: NDArray[Any]
) -> NDArray[np.float64]:
    """The gradient of an error at weights a, shape (n,): differences with a step of 2^-200."""
    step, units = Fraction(1, 2**200), np.eye(len(a), dtype=int).astype(object)
    moves = [step * unit for unit in units]
    return np.array([float((error(a + m) - error(a - m)) / (2 * step)) for m in moves])


def rounded_solution(psi: Integers, t: Integers, ridge: int) -> NDArray[np.int64]:
    """The nearest grid point of every weight: what must be released."""
    exact = rational_solution(psi, t, ridge) * 2**GRID_BITS
    return np.asarray(np.vectorize(round, otypes=[np.int64])(exact))


def dense(jacobian: Jacobian) -> Floats:
    """J written out, shape (n C, p), column by column."""
    columns = [jacobian.matvec(unit).ravel() for unit in np.eye(jacobian.parameters)]
    return np.stack(columns, axis=1)


def ridge_solution(J: Floats, t: Floats, ridge: float) -> Floats:
    """The w that minimises ||J w - t||^2 + ridge ||w||^2, for J (m, p) and t (m,).

    By orthogonal transformations of J itself, whose condition is the root of that of H.
    """
    p = J.shape[1]
    stacked = np.vstack([J, np.sqrt(ridge) * np.eye(p)])
    w: Floats = np.linalg.lstsq(stacked, np.concatenate([t, np.zeros(p)]), rcond=None)[0]
    return w


def rational_gradient(J: Floats, t: Floats, ridge: float, w: Floats) -> NDArray[Any]:
    """J'(J w - t) + ridge w as exact fractions, shape (p,)."""
    rows, weights = _fractions(J), _fractions(w)
    return np.asarray(rows.T @ (rows @ weights - _fractions(t)) + Fraction(ridge) * weights)
