"""Layers of piecewise linear networks, and their derivatives from what a forward pass left.

Such a derivative is made of the activations that the network had and of which units were
on. ``forward`` keeps both, so ``jvp`` and ``vjp`` need not run the network again. The
Jacobian of a convolution's weights is the outer product of the activations in front of it
and of the signals that come back to it, summed over positions.

Activations have shape (n, height, width, channels), contiguous; their dtype and device are
those of the weights.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad, relu6

from unlearning.convolutions import (
    depthwise,
    depthwise_gradient,
    depthwise_transposed,
    patches,
    pointwise,
    pointwise_gradient,
)

Cache = TypeVar("Cache")


class Layer(ABC, Generic[Cache]):
    """A function of activations, and its derivatives at what ``forward`` kept."""

    def convolutions(self) -> "Iterator[Convolution]":
        """The layers within that have weights, from the first to the last."""
        return iter(())

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Cache]:
        """The output, and what the derivatives need."""

    @abstractmethod
    def jvp(self, cache: Cache, dx: Tensor | None, v: "Direction") -> Tensor | None:
        """The derivative of the output along dx and v; None stands for zero."""

    @abstractmethod
    def vjp(self, cache: Cache, dy: Tensor, visit: "Visit", inward: bool) -> Tensor:
        """The signal in front of the layer for dy behind it; anything unless ``inward``."""


class Convolution(Layer[Tensor]):
    """A layer that has weights: for each group of channels, a matrix [W, b].

    Attributes:
        shape: groups, outputs of each, inputs of each and the constant 1.
        bias: b, whose dtype and device are those of all weights.
    """

    shape: tuple[int, int, int]
    bias: Tensor

    def convolutions(self) -> "Iterator[Convolution]":
        yield self

    @abstractmethod
    def gradient(self, x: Tensor, dy: Tensor) -> Tensor:
        """The sum of dy [x, 1]' over rows and positions, in the layer's ``shape``."""

    @abstractmethod
    def inputs(self, x: Tensor) -> Tensor:
        """[x, 1] at each position, shape (groups, positions of all rows, inputs)."""

    @abstractmethod
    def outputs(self, dy: Tensor) -> Tensor:
        """Dy at each position, shape (groups, positions of all rows, outputs)."""


Direction = Mapping[Convolution, Tensor]
"""A vector of weights: a tensor of its ``shape`` for each layer that has some."""

Visit = Callable[[Convolution, Tensor, Tensor], None]
"""Called on the way back at each layer that has weights, with its x and dy."""


class Pointwise(Convolution):
    """A 1x1 convolution; on a grid of one position, a dense layer."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Takes W, shape (outputs, inputs), and b, shape (outputs,)."""
        self.weight, self.bias = weight, bias
        self.shape = (1, weight.shape[0], weight.shape[1] + 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return pointwise(x, self.weight, self.bias), x

    def jvp(self, cache: Tensor, dx: Tensor | None, v: Direction) -> Tensor:
        dy = pointwise(cache, v[self][0, :, :-1], v[self][0, :, -1])
        return dy if dx is None else dy.add_(pointwise(dx, self.weight))

    def vjp(self, cache: Tensor, dy: Tensor, visit: Visit, inward: bool) -> Tensor:
        visit(self, cache, dy)
        return pointwise(dy, self.weight.T) if inward else dy

    def gradient(self, x: Tensor, dy: Tensor) -> Tensor:
        db = dy.sum((0, 1, 2))
        return torch.cat([pointwise_gradient(x, dy), db[:, None]], dim=1)[None]

    def inputs(self, x: Tensor) -> Tensor:
        return pad(x, (0, 1), value=1).flatten(0, 2)[None]

    def outputs(self, dy: Tensor) -> Tensor:
        return dy.flatten(0, 2)[None]


class InputConvolution(Pointwise):
    """A convolution of the network's input, in front of which nothing has weights.

    It is a pointwise convolution of the input's patches, which never change.
    """

    def __init__(self, weight: Tensor, bias: Tensor, stride: int) -> None:
        """Takes W, shape (outputs, channels, size, size), and b, shape (outputs,)."""
        super().__init__(weight.flatten(1), bias)
        self._size, self._stride = weight.shape[2], stride

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(patches(x, self._size, self._stride).flatten(3))


class Depthwise(Convolution):
    """A convolution of each channel for itself, with the padding of ``depthwise``."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int) -> None:
        """Takes kernels, shape (channels, size, size), and b, shape (channels,)."""
        self.weight, self.bias, self.stride = weight, bias, stride
        self.shape = (len(weight), 1, weight[0].numel() + 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return depthwise(x, self.weight, self.bias, self.stride), x

    def jvp(self, cache: Tensor, dx: Tensor | None, v: Direction) -> Tensor:
        dW = v[self][:, 0, :-1].reshape(self.weight.shape)
        dy = depthwise(cache, dW, v[self][:, 0, -1], self.stride)
        if dx is None:
            return dy
        return dy.add_(depthwise(dx, self.weight, torch.zeros_like(self.bias), self.stride))

    def vjp(self, cache: Tensor, dy: Tensor, visit: Visit, inward: bool) -> Tensor:
        visit(self, cache, dy)
        return depthwise_transposed(cache, self.weight, dy, self.stride) if inward else dy

    def gradient(self, x: Tensor, dy: Tensor) -> Tensor:
        dW = depthwise_gradient(x, dy, self.weight.shape[1], self.stride)
        return torch.cat([dW, dy.sum((0, 1, 2))[:, None]], dim=1)[:, None]

    def inputs(self, x: Tensor) -> Tensor:
        seen = pad(patches(x, self.weight.shape[1], self.stride), (0, 1), value=1)
        return seen.flatten(0, 2).transpose(0, 1)

    def outputs(self, dy: Tensor) -> Tensor:
        return dy.flatten(0, 2).T[:, :, None]


class ReLU6(Layer[Tensor]):
    """min(max(x, 0), 6), whose derivative at the two corners is 0."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # The output says which units were on, and the layer behind keeps it anyway.
        y = relu6(x)
        return y, y

    def jvp(self, cache: Tensor, dx: Tensor | None, v: Direction) -> Tensor | None:
        return None if dx is None else _where_on(cache, dx)

    def vjp(self, cache: Tensor, dy: Tensor, visit: Visit, inward: bool) -> Tensor:
        return _where_on(cache, dy)


def _where_on(y: Tensor, d: Tensor) -> Tensor:
    # A mask of bytes would be smaller, and takes three times as long to apply.
    signal: Tensor = torch.ops.aten.hardtanh_backward(d, y, 0.0, 6.0)
    return signal


class AveragePool(Layer[Tensor]):
    """The mean over all positions, on a grid of one."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean((1, 2), keepdim=True), x

    def jvp(self, cache: Tensor, dx: Tensor | None, v: Direction) -> Tensor | None:
        return None if dx is None else dx.mean((1, 2), keepdim=True)

    def vjp(self, cache: Tensor, dy: Tensor, visit: Visit, inward: bool) -> Tensor:
        return (dy / cache[0, ..., 0].numel()).expand_as(cache)


class Sequential(Layer[list[Any]]):
    """One layer after another."""

    def __init__(self, *layers: Layer[Any]) -> None:
        self.layers = layers

    def convolutions(self) -> Iterator[Convolution]:
        for layer in self.layers:
            yield from layer.convolutions()

    def forward(self, x: Tensor) -> tuple[Tensor, list[Any]]:
        caches = []
        for layer in self.layers:
            x, cache = layer.forward(x)
            caches.append(cache)
        return x, caches

    def jvp(self, cache: list[Any], dx: Tensor | None, v: Direction) -> Tensor | None:
        for layer, kept in zip(self.layers, cache, strict=True):
            dx = layer.jvp(kept, dx, v)
        return dx

    def vjp(self, cache: list[Any], dy: Tensor, visit: Visit, inward: bool) -> Tensor:
        for i in reversed(range(len(self.layers))):
            dy = self.layers[i].vjp(cache[i], dy, visit, inward or i > 0)
        return dy


class Residual(Sequential):
    """Layers whose input is added to their output."""

    def forward(self, x: Tensor) -> tuple[Tensor, list[Any]]:
        y, cache = super().forward(x)
        return y + x, cache

    def jvp(self, cache: list[Any], dx: Tensor | None, v: Direction) -> Tensor | None:
        dy = super().jvp(cache, dx, v)
        return dy if dx is None or dy is None else dy + dx

    def vjp(self, cache: list[Any], dy: Tensor, visit: Visit, inward: bool) -> Tensor:
        dx = super().vjp(cache, dy, visit, inward)
        return dx + dy if inward else dx
