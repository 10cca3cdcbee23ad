"""Relearn time: how soon gradient descent on the erased samples finds back what they once had.

Golatkar et al. count epochs until the loss on the erased samples is that of the model before
it forgot. On a squared loss in sum form, steps of 1 / L, with L the largest eigenvalue of the
kernel K = J J' of the erased samples, move the residual r = f - t to (I - K / L) r: the count is
a property of the release, with nothing to tune. Of the last step only the share by which ||r||
had to fall counts, so that releases with noise seldom tie. A model that remembers is there
sooner than a retrained one.
"""

from collections.abc import Callable

import numpy as np

from unlearning.readouts.model import Floats

MOST_STEPS = 1000
"""A release that takes longer counts as this."""

_POWER_STEPS = 30
"""From a random start they find more than half of L, and steps below 2 / L converge."""


class Relearning:
    """Gradient descent on the erased samples' loss.

    Args:
        kernel: the product with K, (k, C) to (k, C); positive semidefinite, not zero.
        targets: t, shape (k, C).
        before: logits (k, C) of the model before it forgot, whose loss is to be reached.
        random: of the start of the power iteration for L.
    """

    def __init__(
        self,
        kernel: Callable[[Floats], Floats],
        targets: Floats,
        before: Floats,
        random: np.random.Generator,
    ) -> None:
        self._kernel = kernel
        self._targets = targets
        self._goal = _norm(before - targets)
        self._largest = _largest_eigenvalue(kernel, random.standard_normal(targets.shape))

    def steps(self, logits: Floats) -> float:
        """From the logits (k, C) that a release gives the erased samples."""
        residual = logits - self._targets
        norm = _norm(residual)
        if norm <= self._goal:
            return 0.0
        for step in range(MOST_STEPS):
            residual = residual - self._kernel(residual) / self._largest
            last, norm = norm, _norm(residual)
            if norm <= self._goal:
                return step + (last - self._goal) / (last - norm)
        return float(MOST_STEPS)


def _largest_eigenvalue(kernel: Callable[[Floats], Floats], vector: Floats) -> float:
    """By power iteration, from below."""
    for _ in range(_POWER_STEPS):
        vector = kernel(vector / _norm(vector))
    return _norm(vector)


def _norm(values: Floats) -> float:
    return float(np.linalg.norm(values))
