"""Slow and obviously right versions of the exact engine, in rational arithmetic."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearning.objective import GRID_BITS

Integers = NDArray[np.integer[Any]]


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
