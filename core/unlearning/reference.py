"""Slow and obviously right versions, for tests.

Of the exact engine in rational arithmetic; of the linearised network with J written out.
"""

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
    d = len(G)
    A = 2 * G + ridge * np.eye(d, dtype=int).astype(object)
    rows = np.vectorize(Fraction, otypes=[object])(np.hstack([A, 2 * B]))
    for pivot in range(d):  # A is positive definite: no pivot is zero
        rows[pivot] = rows[pivot] / rows[pivot, pivot]
        for other in range(d):
            if other != pivot:
                rows[other] = rows[other] - rows[other, pivot] * rows[pivot]
    return np.asarray(rows[:, d:])


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
    exact = np.vectorize(Fraction, otypes=[object])
    rows = exact(J)
    return np.asarray(rows.T @ (rows @ exact(w) - exact(t)) + Fraction(ridge) * exact(w))
