"""Backbones of Hugging Face's transformers, built from a configuration alone and offline.

Nothing of a package runs: the architecture is the installed library's, remote code and
downloads are off, and what a configuration says about either is dropped.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # below what transformers reads once, when it is imported
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
)

from unlearning.cores._packed_linear import pack_linear_layers
from unlearning.errors import CoreError

_DROPPED = {"auto_map", "quantization_config", "attn_implementation", "dtype", "torch_dtype"}


Auto = (
    type[AutoModel]
    | type[AutoModelForImageClassification]
    | type[AutoModelForSequenceClassification]
)
"""Finds a network by its configuration."""


def auto(*, is_text: bool, has_head: bool) -> Auto:
    """Which of them: for a backbone, or for one with a classifier of its own."""
    if not has_head:
        return AutoModel
    return AutoModelForSequenceClassification if is_text else AutoModelForImageClassification


def build(config: bytes, weights: Mapping[str, Tensor], kind: Auto, core: str) -> nn.Module:
    """The network of a ``config.json``, with all of its weights and in inference mode.

    Raises:
        CoreError: if transformers has no such network, or the weights are not its own.
    """
    with torch.device("meta"):  # what does not fit is found before memory is taken
        _check(_network(config, kind, core), weights, core)
    with torch.random.fork_rng(devices=[]):
        network = _network(config, kind, core)
    network.load_state_dict(weights)
    return pack_linear_layers(network.eval())


def without_pooler(network: nn.Module) -> nn.Module:
    """A backbone without what only some checkpoints train, and only classifiers run."""
    if network.base_model is not network:
        return network
    pooler = getattr(network, "pooler", None)
    if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
        network.pooler = None  # type: ignore[assignment]
    return network


def _network(config: bytes, kind: Auto, core: str) -> nn.Module:
    try:
        values: dict[str, Any] = json.loads(config)
        kept = {k: v for k, v in values.items() if k not in _DROPPED and not k.startswith("_")}
        made = AutoConfig.for_model(**kept)
        network: nn.Module = kind.from_config(made, dtype=torch.float32)  # type: ignore[no-untyped-call]
    # Any configuration meets any of its networks here, and they raise what they please.
    except Exception as error:
        problem = f"transformers cannot build its config.json ({type(error).__name__})"
        fix = "use a backbone that the installed transformers has"
        raise CoreError(core, problem, fix) from error
    return without_pooler(network)


def _check(network: nn.Module, weights: Mapping[str, Tensor], core: str) -> None:
    own, given = (
        {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        for tensors in (network.state_dict(), weights)
    )
    for name in sorted(own.keys() | given.keys()):
        if own.get(name) != given.get(name):
            problem = f"the tensor {name} is {given.get(name)}, and the network's {own.get(name)}"
            raise CoreError(core, problem, "pack all of its weights, and no others")
