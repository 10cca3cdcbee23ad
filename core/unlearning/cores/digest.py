"""The digest that pins a core for ever. Frozen: certificates rest on it."""

import hashlib
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import rfc8785
from numpy.typing import NDArray

from unlearning.cores.core import Description

Weights = Mapping[str, NDArray[np.generic]]


def core_digest(description: Description, weights: Weights) -> str:
    """SHA-256, in hex, of a core's description and weights.

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
