"""Convolutions that mix either channels or positions, their transposes and gradients.

A pointwise (1x1) convolution is a matrix product over the channels; a depthwise one weighs
neighbouring positions, in each channel for itself. Inverted residual blocks are made of
the two (Sandler et al., MobileNetV2, CVPR 2018). Activations have shape (n, height,
width, channels) and are contiguous: what torch calls channels last.

torch has two sets of float32 kernels on a CPU. Of the two, oneDNN's convolutions took half
the time of the BLAS's matrix products on one processor; in float64 it has none, and torch's
own loops took 40 times as long as the sums over shifted views below.
"""

from collections.abc import Iterator
from math import ceil

import torch
from torch import Tensor
from torch.nn.functional import conv2d, linear
from torch.nn.grad import conv2d_weight

Region = tuple[slice, slice, slice]
"""All rows, and a range of positions."""


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """W x + b at each position, for W of shape (outputs, inputs)."""
    if not _has_onednn(x):
        return linear(x, weight, bias)
    return _channels_last(conv2d(_channels_first(x), weight[:, :, None, None], bias))


def pointwise_gradient(x: Tensor, dy: Tensor) -> Tensor:
    """The sum of dy x' over rows and positions, shape (outputs, inputs)."""
    if not _has_onednn(x):
        return dy.flatten(0, 2).T @ x.flatten(0, 2)
    shape = (dy.shape[3], x.shape[3], 1, 1)
    gradient: Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
        _channels_first(x), shape, _channels_first(dy)
    )
    return gradient[:, :, 0, 0]


def depthwise(x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """Convolves each channel, padded with zeros so that ceil(size / stride) positions result.

    Args:
        x: shape (n, height, width, channels).
        weight: shape (channels, size, size), of an odd size.
        bias: shape (channels,).
        stride: in both directions.
    """
    channels, size, _ = weight.shape
    if _has_onednn(x) and stride == 1:  # otherwise the padding may be lopsided
        padded = conv2d(_channels_first(x), weight[:, None], bias, 1, size // 2, 1, channels)
        return _channels_last(padded)
    n, height, width, _ = x.shape
    y = bias.expand(n, ceil(height / stride), ceil(width / stride), -1).clone()
    taps = _by_tap(weight)
    for i, source, target in _taps(x, size, stride):
        y[target].addcmul_(x[source], taps[i])
    return y


def depthwise_transposed(x: Tensor, weight: Tensor, dy: Tensor, stride: int) -> Tensor:
    """The transpose of ``depthwise`` without bias, applied to dy; has the shape of x."""
    if stride == 1:
        return depthwise(dy, weight.flip(1, 2), dy.new_zeros(len(weight)), 1)
    dx, taps = torch.zeros_like(x), _by_tap(weight)
    for i, source, target in _taps(x, weight.shape[1], stride):
        dx[source].addcmul_(dy[target], taps[i])
    return dx


def depthwise_gradient(x: Tensor, dy: Tensor, size: int, stride: int) -> Tensor:
    """The derivative of <dy, depthwise(x)> with respect to the weight, (channels, size^2)."""
    gradient = x.new_zeros(size**2, x.shape[3])
    for i, source, target in _taps(x, size, stride):
        gradient[i] = (dy[target] * x[source]).sum((0, 1, 2))
    return gradient.T


def patches(x: Tensor, size: int, stride: int) -> Tensor:
    """What ``depthwise`` sees at each of its positions, shape (n, ..., channels, size^2)."""
    n, height, width, channels = x.shape
    seen = x.new_zeros(n, ceil(height / stride), ceil(width / stride), channels, size**2)
    for i, source, target in _taps(x, size, stride):
        seen[target][..., i] = x[source]
    return seen


def _taps(x: Tensor, size: int, stride: int) -> Iterator[tuple[int, Region, Region]]:
    """For each entry of a kernel: its index, the positions it reads, and those it adds to."""
    columns = list(_shifts(x.shape[2], size, stride))
    for i, rows_read, rows_written in _shifts(x.shape[1], size, stride):
        for j, read, written in columns:
            source = slice(None), rows_read, read
            yield i * size + j, source, (slice(None), rows_written, written)


def _shifts(length: int, size: int, stride: int) -> Iterator[tuple[int, slice, slice]]:
    """The same in one dimension; entries that only ever meet padding are left out."""
    outputs = ceil(length / stride)
    # As TensorFlow pads, with the odd zero behind: output o reads o * stride + i - front.
    front = max((outputs - 1) * stride + size - length, 0) // 2
    for i in range(size):
        first = max(0, ceil((front - i) / stride))
        last = min(outputs - 1, (length - 1 + front - i) // stride)
        if first <= last:
            shift = i - front
            read = slice(first * stride + shift, last * stride + shift + 1, stride)
            yield i, read, slice(first, last + 1)


def _by_tap(weight: Tensor) -> Tensor:
    """Kernels with the channels side by side, shape (size^2, channels)."""
    return weight.flatten(1).T.contiguous()


def _has_onednn(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32


def _channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)
