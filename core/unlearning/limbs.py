"""The exact product of the Gram matrix with integers, by float64 GEMMs that never round.

G = H + D, where H is G rounded to multiples of 2^w, so that |D| <= 2^(w-1): two limbs.
Then H V and D V are sums of multiples of one power of two whose partial sums are at
most d max|limb| max|V|, and below 2^53 of them no GEMM rounds, whatever its order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unlearning.integers import Checked
from unlearning.statistics import Statistics
from unlearning.triangle import multiply


@dataclass(frozen=True)
class GramProduct:
    """Multiplies one state of the statistics, exactly.

    Attributes:
        G: the Gram matrix, lower triangle, Fortran order.
        shift: w, the bits of the low limb.
        largest: the greatest max|V| whose product takes one pass over G.
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

    def __call__(self, V: NDArray[np.float64]) -> Checked:
        """Returns G V, shape (d, C), for integers |V| < 2^53, float64."""
        digits = (self._pass(digit) << power for power, digit in self._digits(V))
        total = next(digits)
        for digit in digits:
            total = total + digit
        return total

    def _pass(self, V: NDArray[np.float64]) -> Checked:
        high, low = multiply(self.G, V, self._split)
        return Checked.of_exact(high, self.shift) + Checked.of_exact(low)

    def _digits(self, V: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """V = sum 2^power digit, every digit at most ``largest``; as a rule, V alone."""
        power = 0
        while np.abs(V).max(initial=0.0) > self.largest:
            higher = np.rint(np.ldexp(V, -self.bits))
            yield power, V - np.ldexp(higher, self.bits)
            V, power = higher, power + self.bits
        yield power, V

    def _split(self, block: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """H and D of a block of G."""
        rounder = 1.5 * 2.0 ** (52 + self.shift)  # a sum with it has no bit below 2^shift
        high = np.add(block, rounder, order="F")
        high -= rounder
        return high, np.subtract(block, high, order="F")
