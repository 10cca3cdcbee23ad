"""The exact product of the Gram matrix with integers, by float64 GEMMs that never round.

G = 2^w H + D with |D| <= 2^(w-1): two limbs. Then H V and D V are sums of integers
whose partial sums are at most d max|limb| max|V|, and below 2^53 no GEMM rounds them,
whatever its order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from unlearning.statistics import Statistics

_COLUMNS_AT_ONCE = 128


@dataclass(frozen=True)
class GramProduct:
    """Multiplies one state of the statistics, exactly.

    Attributes:
        G: the Gram matrix, lower triangle.
        shift: w, the bits of the low limb.
        largest: the greatest max|V| whose product is exact.
    """

    G: NDArray[np.float64]
    shift: int
    largest: int

    @classmethod
    def of(cls, statistics: Statistics) -> "GramProduct":
        """Splits at the width that leaves V the most bits."""
        entries = int(statistics.G.diagonal().max(initial=0.0))  # bounds all: G >= 0
        shift = (entries.bit_length() + 1) // 2
        limb = max(1 << shift >> 1, (entries >> shift) + 1)
        return cls(statistics.G, shift, (2**53 - 1) // (len(statistics.G) * limb))

    def __call__(self, V: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns H V and D V, shape (d, C), exact, with G V = 2^shift H V + D V.

        V holds integers of at most ``largest``, shape (d, C), float64.
        """
        d, C = V.shape
        VT = np.asfortranarray(V.T)
        high, low = np.zeros((C, d), order="F"), np.zeros((C, d), order="F")
        for start in range(0, d, _COLUMNS_AT_ONCE):
            stop = min(start + _COLUMNS_AT_ONCE, d)
            limbs = _split(self.G[start:, start:stop], self.shift)
            for limb, product in zip(limbs, (high, low), strict=True):
                _multiply(limb, VT, product, start, stop)
        return high.T, low.T


def _split(
    strip: NDArray[np.float64], shift: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    high = np.rint(strip * 2.0**-shift)
    return high, strip - high * 2.0**shift


def _multiply(
    strip: NDArray[np.float64],
    VT: NDArray[np.float64],
    product: NDArray[np.float64],
    start: int,
    stop: int,
) -> None:
    """Adds to V'G what columns start..stop of G's lower triangle and their mirror give."""
    corner, below = strip[: stop - start], np.asfortranarray(strip[stop - start :])
    corner = np.asfortranarray(corner + np.tril(corner, -1).T)
    columns = VT[:, start:stop]
    blas.dgemm(1.0, columns, corner, 1.0, product[:, start:stop], overwrite_c=1)
    if len(below):
        blas.dgemm(1.0, VT[:, stop:], below, 1.0, product[:, start:stop], overwrite_c=1)
        blas.dgemm(1.0, columns, below, 1.0, product[:, stop:], trans_b=1, overwrite_c=1)
