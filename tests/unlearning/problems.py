"""Small problems of any magnitude, and what is true of them in Python's integers."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from unlearning.objective import GRID_BITS
from unlearning.reference import gram_and_moments

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

FEATURE, TARGET = 2**14, 2**18

RIDGES = st.one_of(
    st.sampled_from([1, 3, 2**20 + 1, 2**52 + 1]), st.integers(0, 2**40).map(lambda r: 2 * r + 1)
)


@st.composite
def rows(draw: st.DrawFn, largest_width: int = 4) -> tuple[Integers, Integers]:
    """Few rows of any magnitude, some of whose columns or rows may be duplicates."""
    d, n = draw(st.integers(1, largest_width)), draw(st.integers(0, 6))
    classes = draw(st.integers(1, 3))
    entries = st.one_of(
        st.integers(-2, 2), st.integers(-FEATURE, FEATURE), st.sampled_from([FEATURE, -FEATURE])
    )
    goals = st.one_of(
        st.just(0), st.integers(-TARGET, TARGET), st.sampled_from([1, TARGET, -TARGET])
    )
    drawn = draw(st.lists(entries, min_size=n * d, max_size=n * d))
    psi = np.array(drawn, np.int64).reshape(n, d)
    drawn = draw(st.lists(goals, min_size=n * classes, max_size=n * classes))
    t = np.array(drawn, np.int64).reshape(n, classes)
    if n and draw(st.booleans()):
        psi[:, draw(st.integers(0, d - 1))] = psi[:, draw(st.integers(0, d - 1))]
        psi[draw(st.integers(0, n - 1))] = psi[draw(st.integers(0, n - 1))]
    return psi, t


def residual_of(psi: Integers, t: Integers, ridge: int, W: Any, f: int = 0) -> NDArray[Any]:
    """2^(g+f) 2B - A W."""
    G, B = gram_and_moments(psi, t)
    W = W.astype(object)
    return np.asarray((2 * B << (GRID_BITS + f)) - 2 * G.dot(W) - ridge * W)
