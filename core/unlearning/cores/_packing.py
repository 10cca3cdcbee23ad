"""Networks of other formats: the descriptions that are made of them, and cores of those."""

from collections.abc import Callable, Sequence
from typing import Any

from unlearning.cores._described import Described, defaults, head_of, layers
from unlearning.cores._network import Activations, NetworkCore, Reader
from unlearning.cores._probing import PROVENANCE, described_layers, shapes
from unlearning.cores.digest import Weights
from unlearning.cores.package import Files, Package

Parts = Callable[[str, Described, Weights, Files], tuple[Reader, Activations]]
"""An adapter's reader and network, of a core's name, description, weights and files."""

TEXTS: dict[str, Any] = {"text": "as the tokenizer has it; longer ones are refused"}

IMAGES: dict[str, Any] = {
    "formats": ["PNG", "JPEG"],
    "color": "RGB; the high byte of 16 bits; transparency over white; "
    "EXIF orientation not applied; the first frame",
    "filter": "bilinear with antialiasing (Pillow), aspect ratio not kept",
}

HEADLESS = ", without a head: f_c is 0"
"""How an architecture's words end where there is none."""

_FEATURES = (
    "for each entry, by depth and then by grid: the layer's output, adaptive-average-pooled, "
    "times the layer's scale in float32, by channel, row, column; then the constant 1"
)

_GRID = 3
"""The default map's, as far as the last layer has so many squares."""


def described(
    name: str,
    description: dict[str, Any],
    weights: Weights,
    files: Files,
    parts: Parts,
    provenance: str,
    classes: Sequence[str] = (),
) -> Package:
    """A package whose description is completed by what running the network shows.

    Args:
        name: of the package.
        description: what the adapter needs of it.
        weights: tensors by name.
        files: by name.
        parts: of the adapter.
        provenance: what the network was trained on.
        classes: those of its head, whose logits are the last layer; none without one.

    Raises:
        CoreError: if the network does not run.
    """
    head: dict[str, Any] = {"classes": list(classes)}
    if classes:
        description = {**description, "head": head}
    reader, activations = parts(name, Described(name, description), weights, files)
    found = shapes(name, activations, reader)
    *_, last = names = list(found)
    if classes:
        head["layer"], last = last, names[-2:][0]
    grid = min(_GRID, found[last][1])
    whole = {
        **description,
        "layers": described_layers(activations, reader, found),
        "features": _FEATURES,
        "defaults": {
            "feature_map": f"{last}:{grid}x{grid}",
            "maps": {},
            "feature_bound": 8,
            "ridge": 10,
        },
        "provenance": {
            "weights": provenance,
            "scales": PROVENANCE,
            "forgetting": "declared by whoever packed it: none of this ever needs forgetting",
        },
    }
    return Package.of(name, whole, weights, files)


def loaded(package: Package, parts: Parts) -> NetworkCore:
    """The core of such a package; raises CoreError if description or weights do not fit."""
    said = Described(package.name, package.description)
    reader, activations = parts(package.name, said, package.weights, package.files)
    found = layers(said, shapes(package.name, activations, reader))
    return NetworkCore(package, reader, found, defaults(said), activations, head_of(said, found))
