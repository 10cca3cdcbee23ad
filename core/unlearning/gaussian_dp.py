"""What mu-GDP means for an adversary: closed forms, no state.

Two releases that differ by a Gaussian shift of mu standard deviations are mu-GDP: no
test tells them apart better than one that tells N(0, 1) from N(mu, 1) (Dong, Roth and
Su, Gaussian Differential Privacy, 2019). All of this takes mu from 0 to infinity and
gives upper bounds: what float64 could have rounded down is rounded up.

| mu       | nats | attack_accuracy | attack_tpr | delta(epsilon) | epsilon(delta)    |
| -------- | ---- | --------------- | ---------- | -------------- | ----------------- |
| 0        | 0    | 0.5, exactly    | the FPR    | 0              | 0                 |
| > 0      | > 0  | > 0.5           | > the FPR  | > 0            | delta(it) <= delta|
| 1e200    | inf  | 1               | 1          | 1 at 0         | inf               |
| infinity | inf  | 1               | 1          | 1              | inf               |
"""

from collections.abc import Iterable
from math import exp, hypot, inf, nextafter, pi, sqrt

from scipy.special import erfcx, ndtr, ndtri

_FARTHEST = 40.0
"""Beyond so many standard deviations no probability is a float64."""

_NEAREST = -37.0
"""So far on the other side every probability is 1; below, ``erfcx`` overflows."""


def round_up(value: float) -> float:
    """A float64 above the true value, of which ``value`` >= 0 is a computed one.

    Covers 2^-38 of it, which is more than some dozen operations lose, and underflow.
    """
    return nextafter(value * (1 + 2.0**-38), inf)


def compose(shifts: Iterable[float]) -> float:
    """The mu of several releases together: sqrt(sum mu_k^2) (Dong et al., corollary 3.3)."""
    mu = hypot(*shifts)
    return round_up(mu) if mu else 0.0


def nats(mu: float) -> float:
    """KL(N(mu, 1) || N(0, 1)) = mu^2 / 2."""
    return round_up(mu * mu / 2) if mu else 0.0


def attack_accuracy(mu: float) -> float:
    """Phi(mu / 2): how often the best membership test is right, under a balanced prior."""
    return min(1.0, round_up(float(ndtr(mu / 2)))) if mu else 0.5


def attack_tpr(mu: float, false_positive_rate: float) -> float:
    """Phi(Phi^-1(FPR) + mu): the most that a test of this false positive rate finds."""
    if not mu:
        return false_positive_rate
    return min(1.0, round_up(float(ndtr(ndtri(false_positive_rate) + mu))))


def delta(epsilon: float, mu: float) -> float:
    """The least delta for which mu-GDP is (epsilon, delta)-DP, epsilon >= 0.

    Phi(-x) - e^epsilon Phi(-x - mu) with x = epsilon / mu - mu / 2 (Balle and Wang, 2018,
    theorem 8). Since e^epsilon phi(x + mu) = phi(x), it is phi(x) (m(x) - m(x + mu)) with
    Mills' ratio m = Phi(-x) / phi(x), in which nothing overflows. Where m(x) - m(x + mu)
    cancels, -m' = 1 - x m is convex: its trapezoid bounds the difference from above.
    """
    if mu in (0.0, inf):
        return 0.0 if mu == 0 else 1.0
    x = epsilon / mu - mu / 2 - 2.0**-51 * (epsilon / mu + mu / 2)  # below the true x
    if not x < _FARTHEST:
        return round_up(0.0)
    if x < _NEAREST:
        return 1.0
    density = exp(-x * x / 2) / sqrt(2 * pi)
    difference = _mills(x) * (1 + 2.0**-48) - _mills(x + mu)
    trapezoid = (_slope(x) + _slope(x + mu)) / 2 * mu
    return min(1.0, round_up(density * min(difference, trapezoid)))


def _mills(x: float) -> float:
    return sqrt(pi / 2) * float(erfcx(x / sqrt(2)))


def _slope(x: float) -> float:
    return 1 - x * _mills(x)


def epsilon(delta: float, mu: float) -> float:
    """An epsilon for which mu-GDP is (epsilon, delta)-DP; the least one, but for rounding."""
    if _delta(0.0, mu) <= delta:
        return 0.0
    if delta <= 0 or mu == inf:
        return inf
    low, high = 0.0, round_up(mu * (mu / 2 - float(ndtri(delta))))
    while _delta(high, mu) > delta:
        high *= 2
    while low < (middle := (low + high) / 2) < high:
        if _delta(middle, mu) <= delta:
            high = middle
        else:
            low = middle
    return high


_delta = delta
"""``delta``, where an argument has its name."""
