"""The language of feature maps: which layers of a network, averaged on which grid.

``7:4x4+head:1x1`` is the output of layer 7 averaged on a 4 x 4 grid, followed by that
of layer ``head`` averaged over the whole image. Nothing here knows a network: it is
handed the layers that there are.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from unlearning.errors import InvalidInputError

ENTRY = re.compile(r"(?P<layer>[a-z0-9]+):(?P<rows>[1-9][0-9]{0,3})x(?P<columns>[1-9][0-9]{0,3})")


@dataclass(frozen=True)
class Layer:
    """What a network puts out at one depth.

    Attributes:
        channels: how many.
        size: its height and its width, in pixels of its own.
        scale: the constant that brings its pooled activations to an RMS near 1.
    """

    channels: int
    size: int
    scale: float


@dataclass(frozen=True)
class PooledLayer:
    """One entry of a feature map: a layer, averaged on a grid x grid."""

    layer: str
    grid: int

    def __str__(self) -> str:
        return f"{self.layer}:{self.grid}x{self.grid}"


FeatureMap = tuple[PooledLayer, ...]
"""Entries by depth, then by grid: the order of their features in psi."""


def parse(text: str, layers: Mapping[str, Layer]) -> FeatureMap:
    """Reads a feature map.

    Args:
        text: entries ``LAYER:GxG`` joined by ``+``, in any order.
        layers: the network's layers by name, from the first to the last.

    Raises:
        InvalidInputError: for bad syntax, an unknown layer, a grid finer than its layer,
            or an entry given twice.
    """
    entries = [_parse_entry(entry, layers) for entry in text.split("+")]
    if len(set(entries)) < len(entries):
        _refuse(f"{text!r} names an entry twice", "give each entry once")
    depth = {layer: i for i, layer in enumerate(layers)}
    return tuple(sorted(entries, key=lambda entry: (depth[entry.layer], entry.grid)))


def canonical(feature_map: FeatureMap) -> str:
    """The one text that stands for a feature map."""
    return "+".join(map(str, feature_map))


def width(feature_map: FeatureMap, layers: Mapping[str, Layer]) -> int:
    """The number of features, counting the constant 1."""
    return 1 + sum(layers[entry.layer].channels * entry.grid**2 for entry in feature_map)


def _parse_entry(text: str, layers: Mapping[str, Layer]) -> PooledLayer:
    match = ENTRY.fullmatch(text)
    if not match or match["rows"] != match["columns"]:
        _refuse(f"{text!r} is not LAYER:GxG", "write for example 7:4x4+head:1x1")
    if match["layer"] not in layers:
        _refuse(f"there is no layer {match['layer']!r}", f"use one of {', '.join(layers)}")
    size = layers[match["layer"]].size
    grid = int(match["rows"])
    if grid > size:
        _refuse(f"layer {match['layer']} is only {size}x{size}", f"use a grid up to {size}x{size}")
    return PooledLayer(match["layer"], grid)


def _refuse(problem: str, fix: str) -> NoReturn:
    raise InvalidInputError("user_weights.feature_map", problem, fix)
