"""Networks to train, and the core packages that they become.

Neither learns statistics over a batch: one normalises over groups of an image's own channels, the
other has the batch norms of its first training folded into its convolutions. A package of either
is a program of ``torch.export``, of the numbered layers.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from unlearning.cores import Library, exported_program
from unlearning.cores._efficientnet import INPUT, LOGITS, STEM, activations, folded_network
from unlearning.cores.package import Package

_BATCH = 8
"""Images in every forward pass of a package."""


class Encoder(nn.Module, ABC):
    """A network for images of one size.

    Attributes:
        size: their height and width, in pixels.
        width: of what it puts out.
    """

    size: int
    width: int

    @abstractmethod
    def layers(self, images: Tensor) -> Iterator[Tensor]:
        """Each layer's output (n, channels, height, width), of colors from -1 to 1."""

    @abstractmethod
    def defaults(self) -> Mapping[str, Any]:
        """What replaces defaults of its description."""

    def forward(self, images: Tensor) -> Tensor:
        """The last layer's average over each image, shape (n, width)."""
        *_, last = self.layers(images)
        return last.mean(dim=(2, 3))

    def package(self, name: str, provenance: str) -> Package:
        """A core package of it, as it is now."""
        made = _exported(_Layers(self), self.size, name, provenance)
        defaults: Any = made.description["defaults"]
        description = {**made.description, "defaults": {**defaults, **self.defaults()}}
        return Package.of(name, description, made.weights, made.files)


def normalized(pixels: Tensor) -> Tensor:
    """Images (n, 3, size, size), channels last in memory, of pixels uint8 (n, size, size, 3)."""
    return ((pixels.float() - 127.5) / 127.5).permute(0, 3, 1, 2)


class SmallEncoder(Encoder):
    """Seven convolutions with residual connections (He et al., CVPR 2016), 0.3 M parameters.

    With group norms (Wu and He, ECCV 2018).
    """

    channels = (32, 32, 64, 128)

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.width = size, self.channels[-1]
        self.stem = _convolution(3, self.channels[0], stride=2)
        self.blocks = nn.ModuleList(_Residual(*pair) for pair in pairwise(self.channels))

    def layers(self, images: Tensor) -> Iterator[Tensor]:
        """The stem and three blocks, of which the last two halve height and width."""
        x = relu(self.stem(images))
        yield x
        for block in self.blocks:
            x = block(x)
            yield x

    def defaults(self) -> Mapping[str, Any]:
        """None: the description's own suit."""
        return {}


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.first = _convolution(inputs, outputs, stride)
        self.second = _convolution(outputs, outputs)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.second(relu(self.first(x))) + self.shortcut(x))


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(8, outputs))


class EfficientNetLite0(Encoder):
    """All of EfficientNet-Lite0, from its ImageNet weights on."""

    core = "efficientnet-lite0"

    def __init__(self, size: int) -> None:
        super().__init__()
        weights = Library().find(self.core).open().weights
        tensors = {name: torch.tensor(tensor) for name, tensor in weights.items()}
        self.size, self.width = size, 1280
        self.network = folded_network(self.core, tensors, size).requires_grad_(True)

    def train(self, mode: bool = True) -> "EfficientNetLite0":
        """Stays in inference mode, in which it drops no connections."""
        del mode
        return super().train(False)

    def layers(self, images: Tensor) -> Iterator[Tensor]:
        """Its sixteen blocks and its head."""
        named = activations(self.network, images)
        return (output for name, output in named if name not in (INPUT, STEM, LOGITS))

    def defaults(self) -> Mapping[str, Any]:
        """Those of the core that it begins as, on no finer grid than its layers are."""
        grid = min(3, -(-self.size // 16))
        return {"feature_map": f"7:{grid}x{grid}+10:{grid}x{grid}", "ridge": 100}


ENCODERS: Mapping[str, Callable[[int], Encoder]] = {
    "small": SmallEncoder,
    EfficientNetLite0.core: EfficientNetLite0,
}
"""By the names that configurations have for them; each of a size."""


class _Layers(nn.Module):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.encoder.layers(images))


def _exported(network: nn.Module, size: int, name: str, provenance: str) -> Package:
    images = torch.zeros(_BATCH, 3, size, size)
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # torch.export's own deprecations
        program = torch.export.export(network.cpu().eval(), (images,)).run_decompositions()
        file = Path(folder) / "program.pt2"
        torch.export.save(program, file)
        return exported_program.pack(file, name, provenance)
