"""Cores: fixed networks that never need forgetting, and the features they compute.

A core is one module of this package, found by its name: ``efficientnet-lite0`` is
``efficientnet_lite0.py``, and what follows a colon is its argument
(``features:512``). A module offers ``load(argument) -> Core``; adding a core is
adding a file.
"""

import hashlib
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, Protocol, cast

import numpy as np
import rfc8785
from numpy.typing import NDArray

from unlearning.errors import InvalidInputError
from unlearning.linearized import Linearization

Description = Mapping[str, object]
"""What a core is, as JSON values; part of its digest."""


class Core(Protocol):
    """A function psi of a sample that no user's data ever touched.

    Attributes:
        name: as given to ``load``.
        description: architecture, preprocessing, scales, provenance.
        digest: SHA-256 over description and weights, in hex (see ``core_digest``).
        input: what it takes: encoded images, or features computed elsewhere.
        feature_map, feature_bound, ridge: defaults, in real units.
        tangent_scope, tangent_ridge: defaults of TANGENT; empty and 0 without a network.
        activation: that the network was trained with.
    """

    name: str
    description: Description
    digest: str
    input: Literal["image", "features"]
    feature_map: str
    feature_bound: float
    ridge: float
    tangent_scope: str
    tangent_ridge: float
    activation: str

    def resolve(self, feature_map: str) -> str:
        """The canonical name of a feature map; raises InvalidInputError if there is none."""
        ...

    def width(self, feature_map: str) -> int:
        """The number of features d, counting the constant 1 that ends each row."""
        ...

    def extract(
        self, feature_map: str, samples: Sequence[bytes] | NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Computes psi, shape (n, d): scaled by constants of the core, ending in 1.

        A row depends on its own sample only, not on its neighbours or its place.
        Raises InvalidInputError, with the row, for a sample it cannot read.
        """
        ...

    def entrance(self, scope: str) -> str:
        """The feature map of what is in front of the weights of a tangent scope.

        Raises InvalidInputError for a scope that names no weights, or without a network.
        """
        ...

    def linearize(self, scope: str, classes: int, step: float) -> Linearization:
        """J over the weights of a scope and of a classifier, for rows in units of ``step``."""
        ...


def load(name: str) -> Core:
    """Finds and loads a core; raises InvalidInputError for one that is not installed."""
    family, _, argument = name.partition(":")
    if family not in installed():
        raise InvalidInputError(
            "core", f"no core is called {family!r}", f"use one of {', '.join(installed())}"
        )
    module = importlib.import_module(f"{__name__}.{family.replace('-', '_')}")
    core: Core = module.load(argument)
    return core


@cache
def installed() -> tuple[str, ...]:
    """The names that ``load`` knows."""
    return tuple(
        module.name.replace("_", "-")
        for module in pkgutil.iter_modules(__path__)
        if not module.name.startswith("_")
    )


def core_digest(description: Description, weights: Mapping[str, NDArray[np.generic]]) -> str:
    """SHA-256, in hex, that pins a core for ever. Frozen: certificates rest on it.

    The digest is of the RFC 8785 form of ``{"description": ..., "weights": {name:
    {"dtype": ..., "shape": [...], "sha256": ...}}}``, where dtype is NumPy's name
    (``float32``) and sha256 is of the tensor's row-major little-endian bytes: what a
    safetensors file holds, whatever the order it holds it in.
    """
    tensors: dict[str, Any] = {
        name: {
            "dtype": tensor.dtype.name,
            "shape": list(tensor.shape),
            "sha256": hashlib.sha256(
                np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<")).tobytes()
            ).hexdigest(),
        }
        for name, tensor in weights.items()
    }
    pinned = rfc8785.dumps({"description": cast("dict[str, Any]", description), "weights": tensors})
    return hashlib.sha256(pinned).hexdigest()
