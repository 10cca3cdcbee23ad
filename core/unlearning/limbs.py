"""The exact product of the Gram matrix with integers, by float64 GEMMs that never round.

G = H + D, where H is G rounded to multiples of 2^w, so that |D| <= 2^(w-1): two limbs.
Then H V and D V are sums of multiples of one power of two whose partial sums are at
most d max|limb| max|V|, and below 2^53 of them no GEMM rounds, whatever its order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from unlearning.statistics import Statistics

_COLUMNS_AT_ONCE = 64
"""Both limbs of a strip stay in cache, and BLAS wakes no threads for so little."""


@dataclass(frozen=True)
class GramProduct:
    """Multiplies one state of the statistics, exactly.

    Attributes:
        G: the Gram matrix, lower triangle, Fortran order.
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

    @property
    def bits(self) -> int:
        """All integers below 2^bits are at most ``largest``."""
        return self.largest.bit_length() - 1

    def __call__(self, V: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns H V and D V, shape (d, C), exact, with G V = H V + D V.

        V holds integers of at most ``largest``, shape (d, C), float64.
        """
        d, C = V.shape
        VT = np.asfortranarray(V.T)
        products = np.zeros((C, d), order="F"), np.zeros((C, d), order="F")
        scratch = np.empty((2, d * _COLUMNS_AT_ONCE))
        for start in range(0, d, _COLUMNS_AT_ONCE):
            here = slice(start, min(start + _COLUMNS_AT_ONCE, d))
            below = slice(here.stop, d)
            for limb, product in zip(self._limbs(here, here, scratch), products, strict=True):
                blas.dsymm(
                    1.0, limb, VT[:, here], 1.0, product[:, here], side=1, lower=1, overwrite_c=1
                )
            if here.stop == d:
                break
            # What is below the diagonal is multiplied a second time as what is right of it.
            for limb, product in zip(self._limbs(below, here, scratch), products, strict=True):
                blas.dgemm(1.0, VT[:, below], limb, 1.0, product[:, here], overwrite_c=1)
                blas.dgemm(1.0, VT[:, here], limb, 1.0, product[:, below], trans_b=1, overwrite_c=1)
        return products[0].T, products[1].T

    def _limbs(
        self, rows: slice, columns: slice, scratch: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """H and D of a block of G, in Fortran order."""
        block = self.G[rows, columns]
        high, low = (part[: block.size].reshape(block.shape, order="F") for part in scratch)
        rounder = 1.5 * 2.0 ** (52 + self.shift)  # a sum with it has no bit below 2^shift
        np.add(block, rounder, out=high)
        np.subtract(high, rounder, out=high)
        np.subtract(block, high, out=low)
        return high, low
