"""A core that is a network: psi is what it puts out at chosen layers, averaged on grids."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from unlearning.cores._described import Defaults, Head
from unlearning.cores._feature_map import FeatureMap, Layer, canonical, parse, width
from unlearning.cores.core import Input, Samples
from unlearning.cores.head import check_head
from unlearning.cores.package import Package
from unlearning.errors import CoreError, InvalidInputError
from unlearning.linearized import Linearization

Activations = Callable[[NDArray[np.generic]], Iterator[tuple[str, Tensor]]]
"""Each layer's name and output (n, channels, height, width) for a batch, as they are asked for."""


class Reader(Protocol):
    """Makes batches of samples. The shape of a row's batch depends on the row alone."""

    @property
    def input(self) -> Input:
        """What its samples are."""
        ...

    def batches(self, samples: Samples) -> Iterator[tuple[NDArray[np.intp], NDArray[np.generic]]]:
        """Which rows, and the batch that begins with them; raises InvalidInputError."""
        ...

    def largest(self) -> NDArray[np.generic]:
        """A batch as large as any, to try a network on."""
        ...


class NetworkCore:
    """A ``Core`` without tangent scopes.

    Kernels choose their order of summation by shape: only in a batch of a shape of its own
    does a sample get the same bits alone as among others, so the reader chooses shapes.
    """

    tangent_scope = ""
    tangent_ridge = 0.0
    activation = ""

    def __init__(
        self,
        package: Package,
        reader: Reader,
        layers: Mapping[str, Layer],
        defaults: Defaults,
        activations: Activations,
        head: Head | None,
    ) -> None:
        """Takes the layers from the first to the last; raises CoreError for bad defaults."""
        self.name, self.description = package.name, package.description
        self.digest = package.digest
        self.input = reader.input
        self.feature_bound, self.ridge = defaults.feature_bound, defaults.ridge
        self._reader, self._layers, self._activations = reader, layers, activations
        self._head, self.classes = head, head.classes if head else ()
        self._maps = {**defaults.maps, "": defaults.feature_map}
        try:
            self.feature_map, *_ = map(self.resolve, ("", *defaults.maps))
        except InvalidInputError as error:
            fix = "name maps of its layers"
            raise CoreError(self.name, f"its description's defaults: {error}", fix) from error

    def resolve(self, feature_map: str) -> str:
        """Returns the canonical name of a feature map: entries by depth, no shorthand.

        Args:
            feature_map: a name that the description's defaults give, the empty string for the
                default, or entries ``LAYER:GxG`` joined by ``+``.

        Raises:
            InvalidInputError: as ``parse`` does.
        """
        return canonical(self._parse(feature_map))

    def width(self, feature_map: str) -> int:
        """Returns the number of features, counting the constant 1; raises as ``resolve``."""
        return width(self._parse(feature_map), self._layers)

    def extract(
        self, feature_map: str, samples: Samples, head: Sequence[str] = ()
    ) -> NDArray[np.float32]:
        """Computes psi of samples, and logits behind it.

        Args:
            feature_map: any name that ``resolve`` knows.
            samples: n encoded images, PNG or JPEG, or n texts.
            head: C of its ``classes``.

        Returns:
            Shape (n, d + C), float32.

        Raises:
            InvalidInputError: for an unknown feature map or class, and, with the row, for a
                sample that cannot be read.
        """
        check_head(self, head)
        entries, columns = self._parse(feature_map), [self.classes.index(each) for each in head]
        d = width(entries, self._layers)
        outputs = np.ones((len(samples), d + len(columns)), np.float32)
        for rows, batch in self._reader.batches(samples):
            features, logits = self._forward(entries, columns, batch)
            outputs[rows, : d - 1] = features[: len(rows)]
            outputs[rows, d:] = logits[: len(rows)]
        return outputs

    def entrance(self, scope: str) -> str:
        """This core is not linearised; raises InvalidInputError."""
        raise self._not_linearised(scope)

    def linearize(
        self, scope: str, classes: int, step: float, head: Sequence[str] = ()
    ) -> Linearization:
        """This core is not linearised; raises InvalidInputError."""
        del classes, step, head
        raise self._not_linearised(scope)

    def _not_linearised(self, scope: str) -> InvalidInputError:
        return InvalidInputError(
            "user_weights.tangent_scope",
            f"{self.name} has no tangent scope {scope!r}, nor any other",
            "use FEATURES, or a core that has",
        )

    def _parse(self, feature_map: str) -> FeatureMap:
        return parse(self._maps.get(feature_map, feature_map), self._layers)

    @torch.inference_mode()
    def _forward(
        self, entries: FeatureMap, columns: list[int], batch: NDArray[np.generic]
    ) -> tuple[Tensor, Tensor]:
        """Scaled features (n, d - 1) and these columns of the logits, of a batch of n."""
        pooled: list[Tensor] = []
        logits = torch.empty(len(batch), 0)
        awaited = {entry.layer for entry in entries}
        if self._head and columns:
            awaited.add(self._head.layer)
        for layer, output in self._activations(batch):
            pooled += [
                adaptive_avg_pool2d(output, entry.grid).flatten(1) * self._layers[layer].scale
                for entry in entries
                if entry.layer == layer
            ]
            if self._head and layer == self._head.layer:
                logits = output.flatten(1)[:, columns]
            awaited.discard(layer)
            if not awaited:
                break
        return torch.cat(pooled, dim=1), logits
