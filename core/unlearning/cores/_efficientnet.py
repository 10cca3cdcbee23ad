"""EfficientNet-Lite: its modules, what they compute, and its end ready to be linearised.

Tan and Le (2019), arXiv:1905.11946; Lite is the variant without squeeze-and-excitation and
with ReLU6.
"""

from collections.abc import Iterator, Mapping
from itertools import dropwhile
from typing import Any, cast

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn.functional import relu6
from torch.nn.utils.fusion import fuse_conv_bn_eval

from unlearning.cores._described import Shape
from unlearning.piecewise_linear import (
    AveragePool,
    Depthwise,
    InputConvolution,
    Layer,
    Pointwise,
    ReLU6,
    Residual,
    Sequential,
)

INPUT, STEM, HEAD, LOGITS = "input", "stem", "head", "logits"
"""What the layers are called that are not blocks; those go by their index."""


def folded_network(variant: str, state_dict: Mapping[str, Tensor], size: int) -> nn.Module:
    """The network for images of size x size in inference mode, its batch norms folded away.

    Raises RuntimeError if the weights are not all of the variant's, in their shapes.
    """
    # On the meta device nothing is drawn, so loading leaves the global generator alone.
    with torch.device("meta"):
        network: nn.Module = EfficientNet.from_name(variant, image_size=size)
    network.load_state_dict(state_dict, assign=True)
    network.eval()
    _fold(network, "_conv_stem", "_bn0")
    _fold(network, "_conv_head", "_bn1")
    for block in network.get_submodule("_blocks").children():
        if hasattr(block, "_expand_conv"):
            _fold(block, "_expand_conv", "_bn0")
        _fold(block, "_depthwise_conv", "_bn1")
        _fold(block, "_project_conv", "_bn2")
    for module in network.modules():
        _spare_copies(module)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _fold(module: nn.Module, convolution: str, batch_norm: str) -> None:
    """Multiplies a batch norm into the convolution before it."""
    fused = fuse_conv_bn_eval(
        cast(nn.Conv2d, module.get_submodule(convolution)),
        cast(nn.BatchNorm2d, module.get_submodule(batch_norm)),
    )
    setattr(module, convolution, fused)
    setattr(module, batch_norm, nn.Identity())


def _spare_copies(module: nn.Module) -> None:
    """Clips in place, and pads within the convolution where that is even: with the same bits."""
    if isinstance(module, nn.ReLU6):
        module.inplace = True
    padding = getattr(module, "static_padding", None)
    if isinstance(padding, nn.ZeroPad2d) and len(set(padding.padding)) == 1:
        module.padding = padding.padding[:2]  # type: ignore[assignment]
        module.static_padding = nn.Identity()


def activations(network: nn.Module, images: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Each layer's name and output, computed as they are asked for."""
    yield INPUT, images
    x = relu6(network.get_submodule("_conv_stem")(images), inplace=True)
    yield STEM, x
    for name, block in network.get_submodule("_blocks").named_children():
        x = block(x)
        yield name, x
    x = relu6(network.get_submodule("_conv_head")(x), inplace=True)
    yield HEAD, x
    yield LOGITS, network.get_submodule("_fc")(x.mean((2, 3)))[:, :, None, None]


@torch.inference_mode()
def shapes(network: nn.Module, size: int) -> dict[str, Shape]:
    """Each layer's channels and size, for images of size x size."""
    images = torch.zeros(1, 3, size, size)
    return {
        name: (output.shape[1], output.shape[2]) for name, output in activations(network, images)
    }


def layers_behind(entrance: str, network: nn.Module, classifier: Tensor) -> Sequential:
    """What comes after a layer, then average pooling and a classifier.

    Args:
        entrance: the layer's name.
        network: as ``folded_network`` returns it.
        classifier: weights, shape (classes, channels of the head), with biases of 0. All
            layers take its dtype and its device.
    """
    parts = dropwhile(lambda part: part[0] != entrance, _parts(network, classifier))
    next(parts)
    bias = classifier.new_zeros(len(classifier))
    return Sequential(
        *(layer for _, layers in parts for layer in layers),
        AveragePool(),
        Pointwise(classifier, bias),
    )


def _parts(network: nn.Module, like: Tensor) -> Iterator[tuple[str, tuple[Layer[Any], ...]]]:
    """What each of the layers that ``activations`` names is made of."""
    yield INPUT, ()
    stem = _convolution(network, "_conv_stem")
    yield STEM, (InputConvolution(*_weights(stem, like), stem.stride[0]), ReLU6())
    for name, block in network.get_submodule("_blocks").named_children():
        yield name, (_block(block, like),)
    yield HEAD, (_pointwise(_convolution(network, "_conv_head"), like), ReLU6())


def _block(block: nn.Module, like: Tensor) -> Sequential:
    """An inverted residual block (Sandler et al., MobileNetV2, CVPR 2018)."""
    depthwise, project = (_convolution(block, f"_{name}_conv") for name in ("depthwise", "project"))
    kernels, bias = _weights(depthwise, like)
    stride = depthwise.stride[0]
    layers: list[Layer[Any]] = [Depthwise(kernels[:, 0], bias, stride), ReLU6()]
    layers.append(_pointwise(project, like))
    inputs = depthwise.in_channels
    if hasattr(block, "_expand_conv"):
        expand = _convolution(block, "_expand_conv")
        layers[:0] = [_pointwise(expand, like), ReLU6()]
        inputs = expand.in_channels
    skips = stride == 1 and inputs == project.out_channels
    return Residual(*layers) if skips else Sequential(*layers)


def _convolution(module: nn.Module, name: str) -> nn.Conv2d:
    return cast(nn.Conv2d, module.get_submodule(name))


def _pointwise(convolution: nn.Conv2d, like: Tensor) -> Pointwise:
    weight, bias = _weights(convolution, like)
    return Pointwise(weight.flatten(1), bias)


def _weights(convolution: nn.Conv2d, like: Tensor) -> tuple[Tensor, Tensor]:
    weight, bias = convolution.weight.detach(), cast(Tensor, convolution.bias).detach()
    return weight.to(like), bias.to(like)
