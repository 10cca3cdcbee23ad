"""What a model remembers of its releases: secret, in memory alone, gone with the process.

The unperturbed weights start the next solve and say how far it moved. A release that was
solved for from zero, on the rows held alone, descends from none: what earlier solves left of
rows that were erased since ends with it. After a restart every release is such a one.
"""

from math import inf

import numpy as np
from numpy.typing import NDArray

from unlearning.calibration import differencing_shift
from unlearning.gaussian_dp import compose
from unlearning.magnitude import at_least
from unlearning.objective import Objective

_Floats = NDArray[np.float64]


class Lineage:
    """The last release before noise, and what has leaked since the last that descends from none.

    Attributes:
        weights: unperturbed, in real units; None before the first release.
        gaussian_dp: sqrt(sum mu_k^2) over the last release and those that it descends from.
        differencing_gaussian_dp: mu of the last release against one who also holds the one
            before, at most this power of ten: its digits would be a digest of who was erased.
            Infinity where it is not known any more.
    """

    def __init__(self) -> None:
        self.weights: _Floats | None = None
        self.gaussian_dp = 0.0
        self.differencing_gaussian_dp = inf

    def add(self, objective: Objective, weights: _Floats, mu: float, *, descends: bool) -> None:
        """Notes a release, whose solve left ``mu`` of what was erased."""
        before, self.weights = self.weights, weights
        self.gaussian_dp = compose((self.gaussian_dp, mu)) if descends else mu
        distance = inf if before is None else float(np.linalg.norm(weights - before))
        shift = differencing_shift(
            objective.noise, distance, objective.noise_scale, self.gaussian_dp
        )
        self.differencing_gaussian_dp = at_least(shift)
