r"""The ridge problem of a linearised network, matrix-free.

    L(w) = 1/2 sum_i ||J_i w - t_i||^2 + 1/2 lam ||w||^2
    g(w) = J'(J w - t) + lam w,   H = J'J + lam I,   g(w) = H w - J't

H >= lam I, so that || w - w* || = || H^-1 g || <= ||g|| / lam: the gradient, recomputed
from the data in float64, certifies any weights, however they were found.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from unlearning.linearized import Jacobian, Linearization
from unlearning.objective import Objective
from unlearning.rounding import SolveReport
from unlearning.system import NORM_SLACK
from unlearning.tangent_kernel import Kernel

_Floats = NDArray[np.float64]

_FINER = 2.0**-24
"""Roundings are 2^-29 times smaller in float64 than in float32; this leaves a factor of 32."""

_SUMS = 2.0**-44
"""Covers the roundings, relative to their terms, of what float32 happens to get right."""


@dataclass(frozen=True)
class Hessian:
    """H = J'J + lam I.

    Attributes:
        jacobian: J.
        ridge: lam, in real units.
    """

    jacobian: Jacobian
    ridge: float

    def times(self, v: _Floats) -> _Floats:
        """H v, shape (p,)."""
        return self.jacobian.rmatvec(self.jacobian.matvec(v)) + self.ridge * v


class Gradient(NamedTuple):
    """g(w), shape (p,), and an upper bound on the norm of what it would be unrounded."""

    value: _Floats
    norm: float


@dataclass(frozen=True)
class RidgeProblem:
    """The objective of some rows.

    Attributes:
        fast: H in float32, to iterate with.
        precise: H in float64, to believe.
        targets: t, shape (n, C), in real units.
    """

    fast: Hessian
    precise: Hessian
    targets: _Floats

    @classmethod
    def of(
        cls, network: Linearization, psi: NDArray[np.int16], targets: _Floats, ridge: float
    ) -> Self:
        """The problem of lattice rows psi (n, d), n >= 1; raises as ``jacobian`` does."""
        fast, precise = (network.jacobian(psi, double=double) for double in (False, True))
        return cls(Hessian(fast, ridge), Hessian(precise, ridge), targets)

    def kernels(self) -> tuple[Kernel, Kernel]:
        """K + lam I of these rows, in float32 and in float64."""
        fast, precise = (Kernel(H.jacobian, H.ridge) for H in (self.fast, self.precise))
        return fast, precise

    def moments(self) -> _Floats:
        """J't, shape (p,)."""
        return self.precise.jacobian.rmatvec(self.targets)

    def gradient(self, w: _Floats) -> Gradient:
        """g(w) in float64, recomputed from the data.

        Its rounding error is judged by how far float32 is off in the same sums, which knows
        of every cancellation on the way through the network.
        """
        errors, pull = self._errors(self.precise, w), self.precise.ridge * w
        value, moments = errors + pull, self.moments()
        rounded = np.linalg.norm(self._errors(self.fast, w) - errors)
        terms = sum(map(np.linalg.norm, (errors + moments, moments, pull)))
        norm = np.linalg.norm(value) + _FINER * rounded + _SUMS * terms
        return Gradient(value, float(norm) * NORM_SLACK)

    def _errors(self, hessian: Hessian, w: _Floats) -> _Floats:
        """J'(J w - t), shape (p,)."""
        return hessian.jacobian.rmatvec(hessian.jacobian.matvec(w) - self.targets)


@dataclass(frozen=True)
class Solution:
    """Weights near the optimum, and how near: secret until noise is added.

    Attributes:
        weights: w, shape (p,).
        gradient: of L at w on the rows held, recomputed in float64, shape (p,).
        gradient_norm: a power of ten that bounds its norm, of its rounding too: the solve's
            tolerance, and not what it left, which depends on where it began.
        is_cold: whether w is a function of the rows held alone. If not, it still carries
            what earlier solves left of rows erased since: mu_k accumulate.
        steps: iterations; depends on the path, for the operator's eyes only.
        coefficients: a of w = J'a, shape (C,), of each row by its digest; empty for weights
            that were not found by them.
    """

    weights: _Floats
    gradient: _Floats
    gradient_norm: float
    is_cold: bool
    steps: int
    coefficients: Mapping[bytes, _Floats]

    def report(self, objective: Objective, solver: str = "conjugate-gradient") -> SolveReport:
        """What the gradient proves, given that lam bounds the curvature from below."""
        distance = self.gradient_norm / objective.ridge_in_real_units
        return SolveReport(solver, self.gradient_norm, distance, False)
