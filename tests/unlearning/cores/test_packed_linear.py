"""Packed linear layers: against torch's own."""

import pytest
import torch
from torch import nn

from unlearning.cores._packed_linear import PackedLinear, pack_linear_layers

SHAPES = [(1, 7), (8, 7), (3, 5, 7), (192, 7), (24, 8, 7), (300, 7)]


@pytest.fixture(params=[True, False], ids=["bias", "no bias"])
def linear(request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return nn.Linear(7, 5, bias=request.param)


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_outputs_are_those_of_the_layer(linear, shape):
    x = draw(*shape)
    with torch.inference_mode():
        found, truth = PackedLinear(linear)(x), linear(x)
    torch.testing.assert_close(found, truth)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_row_has_the_same_bits_at_any_place(linear, shape):
    x, packed = draw(*shape), PackedLinear(linear)
    with torch.inference_mode():
        assert torch.equal(packed(x), packed(x.flip(0)).flip(0))


def test_all_layers_of_a_network_are_packed_but_those_of_kinds_of_their_own():
    class Own(nn.Linear):
        """Which may compute what it likes."""

    network = nn.Sequential(nn.Linear(7, 6), nn.Sequential(nn.ReLU(), nn.Linear(6, 5)), Own(5, 3))
    x = draw(4, 7)
    with torch.inference_mode():
        truth = network(x)
        found = pack_linear_layers(network)(x)
    torch.testing.assert_close(found, truth)
    kinds = [type(module) for module in network.modules() if not list(module.children())]
    assert kinds == [PackedLinear, nn.ReLU, PackedLinear, Own]
