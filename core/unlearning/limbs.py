"""Products with the Gram matrix: exact ones of integers by float64 GEMMs that never round.

A limb's product with V is a sum of multiples of one power of two whose partial sums are
at most its norm times max|V|: below 2^53 of them no GEMM rounds, whatever its order. V is
cut into digits that are short enough for that, as few as will do.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from unlearning import blas
from unlearning.gram import GramMatrix
from unlearning.integers import Checked

_Floats = NDArray[np.float64]


def product(G: GramMatrix, V: _Floats, Y: _Floats) -> tuple[Checked, _Floats]:
    """G V, exact for integers |V| < 2^53, and G Y in float64, in one pass over each limb.

    V is of shape (d, C) and Y of shape (d, k), float64, Fortran order.
    """
    exact, rounded = Checked.of(np.zeros_like(V, np.int64)), np.zeros_like(Y)
    for limb in G.limbs():
        digits = list(_digits(V, (2**53 - 1) // limb.norm))
        factors = np.concatenate([Y, *(digit for _, digit in digits)], axis=1)
        products = blas.symmetric_product(limb.triangle, factors)
        rounded += products[:, : Y.shape[1]]
        parts = np.split(products[:, Y.shape[1] :], len(digits) or 1, axis=1)
        for (power, _), part in zip(digits, parts, strict=False):
            exact = exact + (Checked.of_exact(part, limb.shift) << power)
    return exact, rounded


def _digits(V: _Floats, longest: int) -> Iterator[tuple[int, _Floats]]:
    """V = sum 2^power digit, every digit at most ``longest``; none if V is 0."""
    width, power = longest.bit_length() - 1, 0
    while np.abs(V).max(initial=0.0) > longest:
        higher = np.rint(V * 2.0**-width)
        yield power, V - higher * 2.0**width
        V, power = higher, power + width
    if V.any():
        yield power, V
