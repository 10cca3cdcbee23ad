"""K-FAC: a preconditioner for H = J'J + lam I, layer by layer.

    M = blockdiag_l (scale A_l (x) S_l + lam I)

(Martens and Grosse, ICML 2015; for convolutions Grosse and Martens, ICML 2016.) With
A = U diag(a) U', S = V diag(s) V', and a layer's part of r as its matrix R, M^-1 r is

    V ((V' R U) / (scale s a' + lam)) U'

The factors come from CORE rows and ``scale`` is how many rows there are for each of them,
so that M is no function of user data. Any positive definite M leads to the same solution;
a worse one costs iterations. Where rows times outputs are fewer than weights, as they are in a
core's head, H is lam I on most of the space, which M does not know: there it lowers the
residual faster at first and to the accuracy of ``newton`` slower, so that models do without it
unless they are given it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from unlearning.linearized import Floats, Linearization, Moments

MOST_ROWS = 256
"""Rows that the factors are taken from: more cost time and gain next to nothing."""


@dataclass(frozen=True)
class Spectrum:
    """The eigenvalues and eigenvectors of a layer's factors.

    Attributes:
        weights: the layer's part of w.
        U, V: eigenvectors, shapes (groups, inputs, inputs) and (groups, outputs, outputs).
        products: s a', never negative, shape (groups, outputs, inputs).
    """

    weights: slice
    U: Floats
    V: Floats
    products: Floats

    @classmethod
    def of(cls, moments: Moments) -> Self:
        """Factors one layer's moments."""
        a, U = np.linalg.eigh(moments.A)
        s, V = np.linalg.eigh(moments.S)
        # Rounding leaves some a little below 0, which would cost M its definiteness.
        products = np.maximum(s, 0)[:, :, None] * np.maximum(a, 0)[:, None, :]
        return cls(moments.weights, U, V, products)

    def solve(self, r: Floats, scale: float, lam: float) -> Floats:
        """(scale A (x) S + lam I)^-1 r."""
        R = r.reshape(self.products.shape)
        rotated = (self.V.mT @ R @ self.U) / (scale * self.products + lam)
        return (self.V @ rotated @ self.U.mT).reshape(-1)


@dataclass(frozen=True)
class KroneckerPreconditioner:
    """M^-1, symmetric and positive definite.

    Attributes:
        layers: that there are moments of; M is lam I for all other weights.
        scale: rows in H for each row in the moments.
        lam: the ridge, positive.
    """

    layers: Sequence[Spectrum]
    scale: float
    lam: float

    def solve(self, r: Floats) -> Floats:
        """M^-1 r, shape (p,)."""
        product = r / self.lam
        for layer in self.layers:
            product[layer.weights] = layer.solve(r[layer.weights], self.scale, self.lam)
        return product


class KroneckerCurvature:
    """What CORE rows say of H, factored once for any number of rows."""

    def __init__(self, network: Linearization, psi: NDArray[np.int16], lam: float) -> None:
        """Takes CORE rows, shape (n, d), n >= 1, of which MOST_ROWS are used at most."""
        chosen = psi[:: -(-len(psi) // MOST_ROWS)]
        self._rows, self._lam = len(chosen), lam
        self._layers = [Spectrum.of(moments) for moments in network.moments(chosen)]

    def preconditioner(self, rows: int) -> KroneckerPreconditioner:
        """M^-1 for the H of so many rows like these."""
        return KroneckerPreconditioner(self._layers, rows / self._rows, self._lam)
