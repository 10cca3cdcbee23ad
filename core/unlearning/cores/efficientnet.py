"""The adapters ``efficientnet-lite0`` to ``-lite2``: EfficientNet-Lite, and its tangent scopes.

Tan and Le (2019), arXiv:1905.11946; Lite is the variant without squeeze-and-excitation
and with ReLU6. psi is the activations of chosen layers, averaged on small grids. Batch
norm runs on its ImageNet statistics, folded into the convolutions, so an image's
features never depend on another image.
"""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unlearning.cores._classifier import classifier_signs
from unlearning.cores._described import Described, defaults, head_of, layers
from unlearning.cores._efficientnet import (
    HEAD,
    INPUT,
    LOGITS,
    STEM,
    activations,
    folded_network,
    layers_behind,
    shapes,
)
from unlearning.cores._feature_map import PooledLayer
from unlearning.cores._image import ImageReader
from unlearning.cores._network import NetworkCore
from unlearning.cores._tangent_scope import entrance
from unlearning.cores.core import Core, Description
from unlearning.cores.head import check_head
from unlearning.cores.package import Package
from unlearning.errors import CoreError
from unlearning.piecewise_linear import Sequential
from unlearning.tangent import Entrance, TangentLinearization

BATCH = 8
"""Images in every forward pass: where throughput on two cores levels off. One image alone
takes about twice as long as in a batch of one."""

_UNSAID: dict[str, Any] = {
    "defaults": {
        "feature_map": "7:3x3+10:3x3",
        "maps": {"small": "10:3x3", "large": "4:4x4+7:4x4+10:4x4+head:1x1"},
        "feature_bound": 8,
        "ridge": 100,
    },
    "tangent": {"scope": "head", "ridge": 10, "classifier_scale": 0.061},
    "layers": {
        INPUT: {"channels": 3, "height": 96, "width": 96, "scale": 1},
        STEM: {"channels": 32, "height": 48, "width": 48, "scale": 0.376},
    },
}
"""What the first description, whose digest is frozen, left to its adapter; as frozen.

The input's scale is 1, so that the normalised pixels, multiples of 2^-7, are stored exactly.
At the classifier's, over the crops of the provenance, the head's convolution and the
classifier at which the network is linearised contribute as much to the trace of J J'.
"""


def load(package: Package) -> Core:
    """The core of a package; raises CoreError if its description or its weights do not fit."""
    return EfficientNetLite(package)


class EfficientNetLite(NetworkCore):
    """A ``Core`` of encoded images."""

    activation = "ReLU6"

    def __init__(self, package: Package) -> None:
        said = Described(package.name, _completed(package.description))
        reader = ImageReader.of(said, BATCH)
        self._network = _network(package, reader.size)
        computed = shapes(self._network, reader.size)
        if not said.has("head"):
            del computed[LOGITS]
        found = layers(said, computed)
        super().__init__(
            package, reader, found, defaults(said), self._activate, head_of(said, found)
        )
        tangent = said.part("tangent")
        self.tangent_scope, self.tangent_ridge = tangent.text("scope"), tangent.number("ridge")
        self._classifier_scale = tangent.number("classifier_scale")

    def entrance(self, scope: str) -> str:
        """Returns the feature map of what is in front of the weights of a tangent scope.

        Args:
            scope: ``head`` (the head's convolution), ``last:K`` (the last K of the blocks
                too), or ``all``; each with the classifier.

        Raises:
            InvalidInputError: for any other name.
        """
        layer = self._layer_before(scope)
        return str(PooledLayer(layer, self._layers[layer].size))

    def linearize(
        self, scope: str, classes: int, step: float, head: Sequence[str] = ()
    ) -> TangentLinearization:
        """Returns J over the weights of a tangent scope and of a classifier for it.

        Args:
            scope: as ``entrance`` takes it, and raises for it.
            classes: the classifier's outputs.
            step: the unit of stored rows.
            head: the classes of its own head that the classifier is of; for none, it is of
                random signs.

        Raises:
            InvalidInputError: for a scope or a class that it has not.
        """
        check_head(self, head)
        layer = self._layer_before(scope)
        taken = self._layers[layer]
        device = "cuda" if torch.cuda.is_available() else "cpu"

        def network(dtype: torch.dtype) -> Sequential:
            classifier = self._head_rows(head) if head else self._signs(classes)
            return layers_behind(layer, self._network, classifier.to(device, dtype))

        return TangentLinearization(
            network, Entrance(taken.channels, taken.size, step / taken.scale)
        )

    def _layer_before(self, scope: str) -> str:
        return entrance(scope, [name for name in self._layers if name != LOGITS])

    def _head_rows(self, head: Sequence[str]) -> Tensor:
        """The head's weights for some classes. J is the same whatever its biases are."""
        weight = cast(Tensor, self._network.get_submodule("_fc").weight).detach()
        columns = [self.classes.index(each) for each in head]
        return weight[columns]

    def _signs(self, classes: int) -> Tensor:
        signs = classifier_signs(self.digest, classes, self._layers[HEAD].channels)
        return self._classifier_scale * torch.tensor(signs, dtype=torch.float64)

    def _activate(self, images: NDArray[np.generic]) -> Iterator[tuple[str, Tensor]]:
        return activations(self._network, torch.from_numpy(images))


def _completed(description: Description) -> Description:
    """A description with what the first one left unsaid."""
    if "defaults" in description or not isinstance(description.get("layers"), dict):
        return description
    layers: Any = description["layers"]
    return {**_UNSAID, **description, "layers": {**_UNSAID["layers"], **layers}}


def _network(package: Package, size: int) -> nn.Module:
    state_dict = {name: torch.tensor(tensor) for name, tensor in package.weights.items()}
    try:
        return folded_network(package.adapter, state_dict, size)
    except RuntimeError as error:
        problem = f"its weights are not those of {package.adapter}: {_first_line(error)}"
        raise CoreError(package.name, problem, "pack all of them, in their own shapes") from error


def _first_line(error: RuntimeError) -> str:
    """Torch's first difference, below its heading."""
    return str(error).splitlines()[1:2][0].strip() if "\n" in str(error) else str(error)
