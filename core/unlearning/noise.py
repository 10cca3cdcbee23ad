"""Gaussian noise that cannot be predicted, and whose floating point gives nothing away.

A Gaussian is Phi^-1(U) of a uniform U, whose bits come from the operating system's
cryptographic generator: no key or state is kept, and forked processes share none.

Noise added in floating point can be told from its low bits (Mironov, On Significance of
the Least Significant Bits for Differential Privacy, 2012). So what is released is

    the correctly rounded value of  w + sigma Phi^-1(U)  on a grid of step q

for a real U of infinitely many bits. It is a function of w plus an ideal Gaussian, so that
it is exactly as private: no delta is lost to floating point. 64 bits of U as a rule decide
the rounding; where they do not, more are drawn (interval refining: Haney, Desfontaines,
Hartman, Shrestha and Hay, Precision-based attacks and interval refining, 2022).
"""

import os
from collections.abc import Callable
from math import floor, isfinite, log2

import mpmath
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from unlearning.errors import InvalidInputError

Source = Callable[[int], bytes]
"""Gives so many random bytes."""

ERROR = 2.0**-45
"""Bounds what float64 makes of a Gaussian: 2^-48.4 from ``ndtri`` (found within 10 standard
deviations, against mpmath), 2^-47.8 from scaling by at most 2^11 and adding a half."""

_FINENESS = 10
"""Steps of the grid in a standard deviation, as a power of two: 1 / (12 * 4^10) more variance."""

_DEEP = 2**10
"""Tails of fewer units of 2^-64, beyond 8.2 standard deviations, need more than 64 bits."""

_AT_ONCE = 2**16

_Floats = NDArray[np.float64]


def standard_normal(size: int, source: Source = os.urandom) -> _Floats:
    """Independent standard Gaussians, shape (size,), each within ERROR of an ideal one.

    None is cut off: tails reach to 2^-128, 13 standard deviations.
    """
    tails, is_negative = _draw(size, source)
    chance = _middle(tails)
    deep = np.flatnonzero(tails < _DEEP)
    further = _middle(_words(len(deep), source))
    chance[deep] = (tails[deep].astype(np.float64) + further) * 2.0**-64
    return _quantile(chance, is_negative)


def grid(scale: float) -> float:
    """The step of what is released with noise of this scale, a power of two."""
    return 2.0 ** (floor(log2(scale)) - _FINENESS)


def perturb(values: _Floats, scale: float, source: Source = os.urandom) -> _Floats:
    """Values plus scale times ideal standard Gaussians, correctly rounded to ``grid(scale)``.

    Raises InvalidInputError for a scale that no grid in float64 suits.
    """
    if not (isfinite(scale) and 2.0**-500 < scale < 2.0**500):
        raise _unsuited(scale, "is out of range")
    step = grid(scale)
    units = np.ravel(values) / step
    if not np.abs(units).max(initial=0.0) < 2.0**52:
        raise _unsuited(scale, "is too small for weights of this size")
    for start in range(0, len(units), _AT_ONCE):
        block = slice(start, start + _AT_ONCE)
        units[block] = _rounded(units[block], scale / step, source)
    # A zero keeps no sign: it would be that of what was rounded.
    return np.reshape(units * step + 0.0, np.shape(values))


def _rounded(units: _Floats, scale: float, source: Source) -> _Floats:
    whole = np.rint(units)
    rest = units - whole  # exact
    tails, is_negative = _draw(len(units), source)
    chance = _middle(tails)
    position = rest + scale * _quantile(chance, is_negative)
    nearest = np.rint(position)
    # U is known to 2^-65, and dX = dU / phi(X), where phi(X) > U / 1.2534 (Mills).
    unknown = scale * (ERROR + 2.0**-64 / chance)
    for i in np.flatnonzero(np.abs(position - nearest) >= 0.5 - unknown):
        nearest[i] = _refined(float(rest[i]), scale, int(tails[i]), bool(is_negative[i]), source)
    return whole + nearest


def _refined(rest: float, scale: float, tail: int, is_negative: bool, source: Source) -> int:
    """The same integer as ``nearest``, from as many more bits of U as it takes."""
    exact, bits = mpmath.MPContext(), 64  # mpmath's own context is shared by threads
    signed = -scale if is_negative else scale
    while True:
        tail, bits = tail << 64 | int.from_bytes(source(8), "little"), bits + 64
        exact.prec = bits + 64
        low, high = (
            exact.floor(rest + 0.5 + signed * exact.sqrt(2) * exact.erfinv(inside))
            for inside in (1 - exact.ldexp(end, 1 - bits) for end in (tail, tail + 1))
        )
        if low == high:
            return int(low)


def _draw(size: int, source: Source) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """P(|X| > x) / 2 in units of 2^-64, rounded down; and whether X is negative."""
    words = _words(size, source)
    return words >> np.uint64(1), (words & np.uint64(1)).astype(np.bool_)


def _words(size: int, source: Source) -> NDArray[np.uint64]:
    return np.frombuffer(source(8 * size), "<u8")


def _middle(words: NDArray[np.uint64]) -> _Floats:
    """Of the interval of U that the words stand for."""
    return (words.astype(np.float64) + 0.5) * 2.0**-64


def _quantile(chance: _Floats, is_negative: NDArray[np.bool_]) -> _Floats:
    """X, |X| exceeded on one side with this chance, below a half."""
    X: _Floats = ndtri(chance)
    return np.negative(X, out=X, where=~is_negative)


def _unsuited(scale: float, problem: str) -> InvalidInputError:
    return InvalidInputError(
        "user_weights.noise_scale",
        f"{scale:g} {problem}",
        "use one nearer to weights, or 0 for none",
    )
