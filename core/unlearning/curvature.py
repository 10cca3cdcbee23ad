"""What K-FAC needs to know of a layer, summed over rows: factors that stand for its J'J.

A row's Jacobian of output c with respect to a layer's matrix [W, b] is

    sum over positions of delta_c a'

with the activations a in front and a constant 1, and the derivatives delta_c behind.
"""

from typing import Protocol

from torch import Tensor

from unlearning.piecewise_linear import Convolution


class Curvature(Protocol):
    """Factors A and S of one layer, where A (x) S stands for its block of J'J."""

    def add(self, x: Tensor, dy: Tensor, output: int) -> None:
        """Counts some rows' derivatives of one output; output 0 of all of them is counted too."""
        ...

    def factors(self) -> tuple[Tensor, Tensor]:
        """A, shape (groups, inputs, inputs), and S, shape (groups, outputs, outputs)."""
        ...


def curvature_of(layer: Convolution) -> Curvature:
    """With nothing counted: exact blocks where they are small, else Kronecker factors."""
    return ExactBlocks(layer) if layer.shape[1] == 1 else KroneckerFactors(layer)


class ExactBlocks:
    """One output a group, as in a depthwise convolution: A is the block itself, S is 1."""

    def __init__(self, layer: Convolution) -> None:
        groups, _, inputs = layer.shape
        self._layer = layer
        self._A = layer.bias.new_zeros(groups, inputs, inputs)

    def add(self, x: Tensor, dy: Tensor, output: int) -> None:
        a, delta = self._layer.inputs(x), self._layer.outputs(dy)
        groups, _, inputs = a.shape
        gradients = (delta * a).view(groups, len(x), -1, inputs).sum(2)
        self._A += gradients.mT @ gradients

    def factors(self) -> tuple[Tensor, Tensor]:
        return self._A, self._A.new_ones(len(self._A), 1, 1)


class KroneckerFactors:
    """Sums of a a' and of delta delta' over rows, positions and outputs, scaled.

    Their product would be exact if activations and derivatives were independent (Martens
    and Grosse, ICML 2015, section 3.1), and each position a sample of its own
    ("expand" in Eschenhagen et al., NeurIPS 2023, section 3.2). They are not, and positions
    add up; so A is scaled until the trace is that of J'J, which makes it exact for one
    row and one position.
    """

    def __init__(self, layer: Convolution) -> None:
        _, outputs, inputs = layer.shape
        self._layer = layer
        self._A = layer.bias.new_zeros(inputs, inputs)
        self._S = layer.bias.new_zeros(outputs, outputs)
        self._trace = layer.bias.new_zeros(())

    def add(self, x: Tensor, dy: Tensor, output: int) -> None:
        a, delta = self._layer.inputs(x)[0], self._layer.outputs(dy)[0]
        if output == 0:
            self._A += a.T @ a
        self._S += delta.T @ delta
        a, delta = a.view(len(x), -1, a.shape[1]), delta.reshape(len(x), -1, delta.shape[1])
        self._trace += ((a @ a.mT) * (delta @ delta.mT)).sum()

    def factors(self) -> tuple[Tensor, Tensor]:
        traces = self._A.trace() * self._S.trace()
        scale = self._trace / traces if traces > 0 else traces
        return scale * self._A[None], self._S[None]
