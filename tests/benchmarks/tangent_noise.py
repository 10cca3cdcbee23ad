"""What noise on a release after an erasure leaves, and what it costs in accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmarks.style import MUTED, OURS, REFIT, STYLE
from tests.benchmarks.tangent_erasing import Erasure
from tests.benchmarks.tangent_task import Tangent
from unlearning.calibration import scale_for, shift
from unlearning.gaussian_dp import attack_accuracy, nats
from unlearning.information import ADVISED_NATS
from unlearning.objective import Noise
from unlearning.perturbation import Perturbed, perturb_tangent
from unlearning.ridge import Hessian

SCALES = np.logspace(-6, 1, 15)
DRAWS = {Noise.ISOTROPIC: 10, Noise.INVERSE_HESSIAN: 2}
"""One of the second kind takes a polynomial in H, some hundreds of its products in float64."""

HARMLESS = 0.005
"""Of accuracy, lost."""


@dataclass(frozen=True)
class Point:
    """One scale: its mu, what that implies, and the mean test accuracy with its extremes."""

    scale: float
    mu: float
    nats: float
    attack_accuracy: float
    accuracy: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Sweep:
    """One covariance.

    Attributes:
        advised_scale: that leaves ADVISED_NATS.
        accuracy: without noise.
    """

    noise: Noise
    draws: int
    advised_scale: float
    accuracy: float
    points: list[Point]

    @property
    def harmless(self) -> Point | None:
        """The largest scale up to which accuracy stays where it is without noise."""
        found = None
        for point in self.points:
            if abs(point.accuracy - self.accuracy) > HARMLESS + 1e-9:
                break
            found = point
        return found


def sweep(tangent: Tangent, erasure: Erasure, hessian: Hessian, noise: Noise) -> Sweep:
    """Draws once for all scales: logits are linear in w, and the noise in its scale."""
    zero = np.zeros_like(erasure.weights)
    draws = [perturb_tangent(zero, lambda: hessian, noise, 1.0) for _ in range(DRAWS[noise])]
    J = tangent.test_jacobian
    logits, moved = J.matvec(erasure.weights), [J.matvec(draw.weights) for draw in draws]
    worst = max(draws, key=lambda draw: draw.rounding_shift)
    points = []
    for scale in map(float, SCALES):
        tried = [tangent.task.accuracy(logits + scale * each) for each in moved]
        points.append(_point(tangent, erasure, noise, scale, worst, tried))
    mu = sqrt(2 * ADVISED_NATS) - worst.rounding_shift
    error = worst.relative_error
    advised = scale_for(mu, noise, erasure.gradient_norm, tangent.lam, error)
    return Sweep(noise, len(draws), advised, tangent.task.accuracy(logits), points)


def _point(
    tangent: Tangent,
    erasure: Erasure,
    noise: Noise,
    scale: float,
    drawn: Perturbed,
    tried: list[float],
) -> Point:
    mu = shift(noise, erasure.gradient_norm, tangent.lam, scale, drawn.relative_error)
    mu += drawn.rounding_shift
    mean = float(np.mean(tried))
    return Point(scale, mu, nats(mu), attack_accuracy(mu), mean, min(tried), max(tried))


def save(sweeps: Sequence[Sweep], path: Path) -> None:
    """Nats above, accuracy below, against the scale of either noise."""
    with rc_context(STYLE):
        figure = Figure(figsize=(8, 6.4), layout="constrained")
        figure.suptitle(
            "Noise on a release after an erasure: what it leaves, and what it costs",
            x=0.01,
            ha="left",
            fontsize=13,
            fontweight="bold",
        )
        above, below = figure.subplots(2, 1, sharex=True)
        for one, color, marker in zip(sweeps, (OURS, REFIT), "os", strict=True):
            _draw(above, below, one, color, marker)
        above.axhline(ADVISED_NATS, color=MUTED, linestyle=":", label=f"{ADVISED_NATS:g} nats")
        above.set(xscale="log", yscale="log", ylabel="nats, at most")
        below.set(xlabel="noise_scale", ylabel="test accuracy, %", ylim=(0, 100))
        below.axhline(
            100 * sweeps[0].accuracy, color=MUTED, linestyle=":", label="without noise", zorder=1
        )
        above.legend(frameon=False)
        below.legend(frameon=False)
        figure.savefig(path, metadata={"Date": None})


def _draw(above: Axes, below: Axes, one: Sweep, color: str, marker: str) -> None:
    scales = [point.scale for point in one.points]
    style = {"color": color, "marker": marker, "markersize": 5, "label": str(one.noise)}
    above.plot(scales, [point.nats for point in one.points], **style)
    below.plot(scales, [100 * point.accuracy for point in one.points], **style)
    low, high = ([100 * getattr(p, side) for p in one.points] for side in ("lowest", "highest"))
    below.fill_between(scales, low, high, color=color, alpha=0.2, linewidth=0)
