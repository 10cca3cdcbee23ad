"""Symmetric matrices kept as their lower triangle, multiplied strip by strip.

A strip is a few columns from the diagonal down: multiplied once as it stands, and once
as the mirror of what lies right of the diagonal. Strips are so narrow that they stay in
cache, and that BLAS wakes no threads for one: it takes longer to wake them.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

_SINGLE_THREADED = 900_000
"""Multiplications that BLAS leaves to one thread."""

Split = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], ...]]
"""Cuts a block of the matrix into summands, in Fortran order."""


def multiply(
    triangle: NDArray[np.float64],
    V: NDArray[np.float64],
    split: Split = lambda block: (np.asfortranarray(block),),
) -> list[NDArray[np.float64]]:
    """Products of the summands of a symmetric matrix with V, each of shape (d, C).

    ``triangle`` is in Fortran order; above its diagonal it may hold anything.
    """
    VT = np.asfortranarray(V.T)
    C, d = VT.shape
    products: list[NDArray[np.float64]] = []
    columns = min(64, max(16, _SINGLE_THREADED // (C * d)))
    for start in range(0, d, columns):
        here = slice(start, min(start + columns, d))
        below = slice(here.stop, d)
        corners = split(triangle[here, here])
        products = products or [np.zeros((C, d), order="F") for _ in corners]
        for corner, product in zip(corners, products, strict=True):
            blas.dsymm(
                1.0, corner, VT[:, here], 1.0, product[:, here], side=1, lower=1, overwrite_c=1
            )
        if here.stop == d:
            break
        for block, product in zip(split(triangle[below, here]), products, strict=True):
            blas.dgemm(1.0, VT[:, below], block, 1.0, product[:, here], overwrite_c=1)
            blas.dgemm(1.0, VT[:, here], block, 1.0, product[:, below], trans_b=1, overwrite_c=1)
    return [product.T for product in products]
