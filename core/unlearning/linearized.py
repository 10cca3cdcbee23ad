"""A network linearised in its weights, as solvers see it; nothing here knows torch.

    f(x) = J_x w,   J_x = d net(x) / d theta  at the core's own weights

(Golatkar et al., Mixed-Privacy Forgetting, CVPR 2021, section 3; Achille et al., LQF,
CVPR 2021.) J depends on the core and on the sample alone, so it is what psi is to a
FEATURES model: fixed, while w is all that user data touches.
"""

from collections.abc import Callable
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
