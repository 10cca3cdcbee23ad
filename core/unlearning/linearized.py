"""A network linearised in its weights, as solvers see it; nothing here knows torch.

    f(x) = J_x w,   J_x = d net(x) / d theta  at the core's own weights

(Golatkar et al., Mixed-Privacy Forgetting, CVPR 2021, section 3; Achille et al., LQF,
CVPR 2021.) J depends on the core and on the sample alone, so it is what psi is to a
FEATURES model: fixed, while w is all that user data touches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Jacobian(Protocol):
    """J of n samples, an operator of shape (n C, p) that is never stored.

    Attributes:
        rows: n.
        outputs: C.
        parameters: p.
    """

    rows: int
    outputs: int
    parameters: int

    def matvec(self, v: Floats) -> Floats:
        """J v, shape (n, C), for v of shape (p,)."""
        ...

    def rmatvec(self, u: Floats) -> Floats:
        """J' u, shape (p,), for u of shape (n, C)."""
        ...

    def mean_kernel(self, stop: Callable[[], None]) -> Floats | None:
        """About Kbar, Kbar_ij = mean_c J_ic J_jc', shape (n, n); None where that takes too much.

        ``stop`` is called now and then, and may raise.
        """
        ...


@dataclass(frozen=True)
class Moments:
    """What some samples say of one layer: its factors for K-FAC, sums over them.

    A layer's weights are a matrix [W, b] for each group of its channels; dense layers and
    1x1 convolutions have one group. With a the activations in front of it and a constant
    1, and delta_c the derivatives of output c behind it:

    Attributes:
        weights: its part of w, which holds the matrices (groups, outputs, inputs) row by row.
        A: sum a a', shape (groups, inputs, inputs).
        S: sum_c delta_c delta_c', shape (groups, outputs, outputs).
    """

    weights: slice
    A: Floats
    S: Floats


class Linearization(Protocol):
    """A network linearised in a scope of its weights.

    Attributes:
        parameters: p, the length of w.
        outputs: C.
    """

    parameters: int
    outputs: int

    def jacobian(self, psi: NDArray[np.int16], *, double: bool) -> Jacobian:
        """J of stored lattice rows.

        Args:
            psi: shape (n, d), the scope's entrance with the constant 1.
            double: whether to compute in float64, for residuals that are to be believed,
                or in float32.

        Raises:
            InvalidInputError: with the first such row, if activations are not finite.
        """
        ...

    def moments(self, psi: NDArray[np.int16]) -> list[Moments]:
        """What stored rows say of each layer, in the order of w; raises as ``jacobian``."""
        ...
