"""The passes of an erasure over the matrix, beside what the machine can do.

A pass's arithmetic intensity is its operations over the bytes of the triangle that it has to
read or write, a matrix of vectors not counted. BLAS calls are timed directly, at the shapes
that an erasure uses.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from tests.benchmarks.timing import Timed, Work, in_turn

LARGE_BYTES = 2**28
"""More than any cache holds."""


@dataclass(frozen=True)
class Pass:
    """One pass: operations, bytes of the triangle, and its time."""

    words: str
    operations: float
    triangle_bytes: float
    time: Timed

    @property
    def intensity(self) -> float:
        """Operations a byte."""
        return self.operations / self.triangle_bytes

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.time.seconds


@dataclass(frozen=True)
class Roofline:
    """The machine's peaks and the passes under them.

    Attributes:
        peak: operations a second of a large float64 product.
        memory: bytes a second that a large copy reads and writes, by all cores.
        cache: bytes a second that a dot product reads of what is as large as the triangle.
    """

    peak: float
    memory: float
    cache: float
    passes: list[Pass]


def measure(d: int, C: int, side: int) -> Roofline:
    """Times all; ``side`` is that of the matrices of the large product."""
    square = np.ones((side, side), order="F")
    large = np.ones(LARGE_BYTES // 8)
    small = np.ones(d * (d + 1) // 2)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        times = in_turn(
            {
                "product": lambda: blas.dgemm(1.0, square, square),
                "memory": _copy(large, pool),
                "cache": lambda: blas.ddot(small, small),
            }
        )
    return Roofline(
        peak=2.0 * side**3 / times["product"].seconds,
        memory=2 * large.nbytes / times["memory"].seconds,
        cache=small.nbytes / times["cache"].seconds,
        passes=_passes(d, C),
    )


def _copy(source: NDArray[np.float64], pool: ThreadPoolExecutor) -> Work:
    """A copy in which every core has a part."""
    target = np.empty_like(source)
    cores = os.cpu_count() or 1
    parts = list(zip(np.array_split(target, cores), np.array_split(source, cores), strict=True))
    return lambda: list(pool.map(lambda part: np.copyto(*part), parts))


def _passes(d: int, C: int) -> list[Pass]:
    A = np.asfortranarray(np.random.default_rng(0).standard_normal((d, d)))
    limbs = (A, np.asfortranarray(A + 1))
    triangle, product = 4.0 * d * (d + 1), 2.0 * d * d

    def columns(k: int) -> NDArray[np.float64]:
        return np.ones((d, k), order="F")

    def two_limbs(k: int) -> Work:
        V = columns(k)
        return lambda: [blas.dsymm(1.0, limb, V, lower=1) for limb in limbs]

    def check() -> object:
        return blas.dsymm(1.0, A, few, lower=1)

    def update(k: int) -> Work:
        Z = columns(k)
        return lambda: blas.dsyrk(1.0, Z, 1.0, A, lower=1, overwrite_c=1)

    few, one = columns(C), np.ones(d)
    works: dict[str, tuple[float, float, Work]] = {
        f"exact product, 2 limbs × {C}": (2 * C * product, 2 * triangle, two_limbs(C)),
        f"exact product, 2 limbs × {3 * C}": (6 * C * product, 2 * triangle, two_limbs(3 * C)),
        f"float check × {C}": (C * product, triangle, check),
        "inverse × 1": (product, triangle, lambda: blas.dsymv(1.0, A, one, lower=1)),
        "rank-1 update": (d * d, 2 * triangle, update(1)),
        "rank-32 update": (32 * d * d, 2 * triangle, update(32)),
        "rank-100 update": (100 * d * d, 2 * triangle, update(100)),
    }
    times = in_turn({words: work for words, (_, _, work) in works.items()})
    return [
        Pass(words, operations, size, times[words])
        for words, (operations, size, _) in works.items()
    ]
