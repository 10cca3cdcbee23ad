"""Against torch's own convolutions and their automatic derivatives, in float64."""

import pytest
import torch
from torch.nn.functional import conv2d, pad

from unlearning.convolutions import (
    depthwise,
    depthwise_gradient,
    depthwise_transposed,
    patches,
    pointwise,
    pointwise_gradient,
)

SHAPES = [(3, 3), (6, 5), (7, 4), (1, 2)]
KERNELS = [(3, 1), (5, 1), (3, 2), (5, 2)]


def draw(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def reference(x, weight, bias, stride):
    """Padded as TensorFlow pads: evenly, the odd zero behind."""
    size = weight.shape[-1]
    outputs = [-(-side // stride) for side in x.shape[1:3]]
    lacking = [
        max((o - 1) * stride + size - side, 0)
        for o, side in zip(outputs, x.shape[1:3], strict=True)
    ]
    (top, bottom), (left, right) = [(n // 2, n - n // 2) for n in lacking]
    padded = pad(x.permute(0, 3, 1, 2), (left, right, top, bottom))
    groups = len(weight)
    return conv2d(padded, weight[:, None], bias, stride, groups=groups).permute(0, 2, 3, 1)


@pytest.fixture(params=[torch.float64, torch.float32], ids=["double", "single"])
def dtype(request):
    return request.param


def agree(ours, truth):
    tolerance = 1e-12 if ours.dtype == torch.float64 else 1e-5
    assert ours.shape == truth.shape
    assert (ours.double() - truth).norm() <= tolerance * truth.norm()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("size", "stride"), KERNELS)
class TestDepthwise:
    def test_forward(self, shape, size, stride, dtype):
        x, weight, bias = draw(4, *shape, 6), draw(6, size, size), draw(6)
        y = depthwise(x.to(dtype), weight.to(dtype), bias.to(dtype), stride)
        agree(y, reference(x, weight, bias, stride))

    def test_derivatives(self, shape, size, stride, dtype):
        x, weight, bias = draw(4, *shape, 6), draw(6, size, size), draw(6)
        y, back = torch.func.vjp(lambda x, w: reference(x, w, bias, stride), x, weight)
        dy = draw(*y.shape)
        dx, dw = back(dy)
        single = x.to(dtype), dy.to(dtype)
        agree(depthwise_transposed(single[0], weight.to(dtype), single[1], stride), dx)
        agree(depthwise_gradient(*single, size, stride), dw.flatten(1))

    def test_is_a_product_with_patches(self, shape, size, stride, dtype):
        x, weight = draw(4, *shape, 6), draw(6, size, size)
        product = (patches(x.to(dtype), size, stride) * weight.to(dtype).flatten(1)).sum(-1)
        agree(product, reference(x, weight, None, stride))


def test_pointwise(dtype):
    x, weight, bias, dy = draw(4, 3, 2, 5), draw(7, 5), draw(7), draw(4, 3, 2, 7)
    agree(
        pointwise(x.to(dtype), weight.to(dtype), bias.to(dtype)),
        torch.einsum("nhwi,oi->nhwo", x, weight) + bias,
    )
    agree(pointwise_gradient(x.to(dtype), dy.to(dtype)), torch.einsum("nhwo,nhwi->oi", dy, x))
