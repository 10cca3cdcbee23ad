"""K-FAC: a preconditioner for H = J'J + lam I, layer by layer, to compare with.

    M = blockdiag_l (scale A_l (x) S_l + lam I)

(Martens and Grosse, ICML 2015; for convolutions Grosse and Martens, ICML 2016.) With
A = U diag(a) U', S = V diag(s) V', and a layer's part of r as its matrix R, M^-1 r is

    V ((V' R U) / (scale s a' + lam)) U'

The factors come from CORE rows and ``scale`` is how many rows there are for each of them.
Where rows times outputs are fewer than weights, H is lam I on most of the space, which M does
not know: conjugate gradients take longer with it, and models do without.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from tests.benchmarks.tangent_task import Rows
from unlearning.linearized import Floats
from unlearning.piecewise_linear import Convolution
from unlearning.tangent import TangentJacobian, TangentLinearization

MOST_ROWS = 256
"""Rows that the factors are taken from: more cost time and gain next to nothing."""


@dataclass(frozen=True)
class Spectrum:
    """The eigenvalues and eigenvectors of the factors of one layer.

    Attributes:
        weights: the layer's part of w, a matrix [W, b] for each group of channels.
        U, V: eigenvectors, shapes (groups, inputs, inputs) and (groups, outputs, outputs).
        products: s a', never negative, shape (groups, outputs, inputs).
    """

    weights: slice
    U: Floats
    V: Floats
    products: Floats

    @classmethod
    def of(cls, weights: slice, A: Floats, S: Floats) -> Self:
        """Factors A and S."""
        a, U = np.linalg.eigh(A)
        s, V = np.linalg.eigh(S)
        # Rounding leaves some a little below 0, which would cost M its definiteness.
        products = np.maximum(s, 0)[:, :, None] * np.maximum(a, 0)[:, None, :]
        return cls(weights, U, V, products)

    def solve(self, r: Floats, scale: float, lam: float) -> Floats:
        """(scale A (x) S + lam I)^-1 r."""
        R = r.reshape(self.products.shape)
        rotated = (self.V.mT @ R @ self.U) / (scale * self.products + lam)
        return (self.V @ rotated @ self.U.mT).reshape(-1)


@dataclass(frozen=True)
class KroneckerPreconditioner:
    """M^-1, symmetric and positive definite, of the weights of all these layers."""

    layers: Sequence[Spectrum]
    scale: float
    lam: float

    def solve(self, r: Floats) -> Floats:
        """M^-1 r, shape (p,)."""
        product = np.empty_like(r)
        for layer in self.layers:
            product[layer.weights] = layer.solve(r[layer.weights], self.scale, self.lam)
        return product


def preconditioner(
    network: TangentLinearization, core: Rows, rows: int, lam: float
) -> KroneckerPreconditioner:
    """M^-1 for the H of so many rows, from CORE rows, shape (n, d), n >= 1."""
    chosen = core[:: -(-len(core) // MOST_ROWS)]
    layers = [Spectrum.of(*each) for each in moments(network.jacobian(chosen, double=True))]
    return KroneckerPreconditioner(layers, rows / len(chosen), lam)


@torch.inference_mode()
def moments(J: TangentJacobian) -> list[tuple[slice, Floats, Floats]]:
    """Each layer's part of w, and its factors A and S."""
    found = {layer: _Moments(layer) for layer in J._layers}
    for output, unit in enumerate(np.eye(J.outputs)):
        for layer, visits in J._visits(np.tile(unit, (J.rows, 1))).items():
            for x, dy in visits:
                found[layer].add(x, dy, output)
    parts, start = [], 0
    for layer, size in zip(J._layers, J._sizes, strict=True):
        parts.append((slice(start, start + size), *found[layer].factors()))
        start += size
    return parts


class _Moments:
    """Sums of a a' and of delta delta' over rows, positions and outputs, scaled.

    With the activations a in front of a layer and a constant 1, and the derivatives delta
    behind it, a row's Jacobian is the sum over positions of delta a'. The product of the
    factors would be that of J'J if activations and derivatives were independent (Martens and
    Grosse, section 3.1), and each position a sample of its own. They are not, and positions
    add up; so A is scaled until the trace is that of J'J, which makes it exact for one row and
    one position. (Such layers have one group.) Where a group has one output, as in a depthwise
    convolution, A is the block of J'J itself, and S is 1.
    """

    def __init__(self, layer: Convolution) -> None:
        groups, outputs, inputs = layer.shape
        self._layer, self._is_exact = layer, outputs == 1
        self._A = layer.bias.new_zeros(groups, inputs, inputs)
        self._S = layer.bias.new_zeros(groups, outputs, outputs)
        self._trace = layer.bias.new_zeros(())

    def add(self, x: Tensor, dy: Tensor, output: int) -> None:
        """Counts some rows' derivatives of one output; output 0 of all rows is counted too."""
        a, delta = self._layer.inputs(x), self._layer.outputs(dy)
        if self._is_exact:
            gradients = (delta * a).view(len(a), len(x), -1, a.shape[2]).sum(2)
            self._A += gradients.mT @ gradients
            return
        if output == 0:
            self._A += a.mT @ a
        self._S += delta.mT @ delta
        a, delta = (part.reshape(len(x), -1, part.shape[2]) for part in (a, delta))
        self._trace += ((a @ a.mT) * (delta @ delta.mT)).sum()

    def factors(self) -> tuple[Floats, Floats]:
        """A, shape (groups, inputs, inputs), and S, shape (groups, outputs, outputs)."""
        if self._is_exact:
            return self._A.numpy(), torch.ones_like(self._S).numpy()
        traces = self._A[0].trace() * self._S[0].trace()
        scale = self._trace / traces if traces > 0 else traces
        return (scale * self._A).numpy(), self._S.numpy()
