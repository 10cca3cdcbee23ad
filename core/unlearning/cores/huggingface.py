"""The adapter ``huggingface``: a network in Hugging Face's format, for images or for texts.

Layers are the backbone's hidden states by number (``0`` is what its embeddings put out) and
``head``, one vector: the mean of the last hidden state's tokens, or its first token. Tokens
of an image stand on their grid; those of a text are averaged, so their grid is 1x1. A network
saved with a classifier has its ``logits`` besides.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

from unlearning.cores._backbone import (
    FIRST,
    MEAN,
    ImageBackbone,
    Pooling,
    TextBackbone,
    has_prefix,
)
from unlearning.cores._described import Described
from unlearning.cores._huggingface_folder import HuggingFaceFolder
from unlearning.cores._image import ImageReader
from unlearning.cores._network import Activations, Reader
from unlearning.cores._packing import HEADLESS, IMAGES, TEXTS, described, loaded
from unlearning.cores._probing import tried
from unlearning.cores._text import TextReader
from unlearning.cores._transformers import auto, build
from unlearning.cores.core import Core
from unlearning.cores.package import FORMAT, Files, Package
from unlearning.errors import CoreError

CONFIG, TOKENIZER = "config.json", "tokenizer.json"

BATCH = 8
"""Images in every forward pass."""


def load(package: Package) -> Core:
    """The core of a package; raises CoreError if its description or its weights do not fit."""
    return loaded(package, parts)


def parts(
    core: str, said: Described, weights: Mapping[str, Any], files: Files
) -> tuple[Reader, Activations]:
    """What reads samples, and what computes them; raises CoreError."""
    if CONFIG not in files:
        raise CoreError(core, f"there is no {CONFIG} in its description's files", "pack it again")
    tensors = {name: torch.tensor(tensor) for name, tensor in weights.items()}
    kind = auto(is_text=TOKENIZER in files, has_head=said.has("head"))
    network = build(files[CONFIG], tensors, kind, core)
    if TOKENIZER not in files:
        return ImageReader.of(said, BATCH), ImageBackbone(network, Pooling.of(said))
    return _text_reader(core, said, files), TextBackbone(network, Pooling.of(said))


def _text_reader(core: str, said: Described, files: Files) -> TextReader:
    try:
        tokenizer = Tokenizer.from_buffer(files[TOKENIZER])
    # tokenizers raises Exception itself.
    except Exception as error:
        raise CoreError(core, f"{TOKENIZER} is no tokenizer", "pack it again") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return TextReader(tokenizer, said.part("preprocessing").whole("tokens"))


def pack(source: Path, name: str, provenance: str, classes: Sequence[str] = ()) -> Package:
    """A package of the network in a folder, in Hugging Face's format.

    Args:
        source: the folder; its weights must be in safetensors.
        name: of the package.
        provenance: what the network was trained on.
        classes: none, since the folder's ``id2label`` says those of its head.

    Raises:
        CoreError: if it cannot be read, or not without running code.
    """
    folder = HuggingFaceFolder(source, name)
    if classes:
        raise CoreError(name, "its classes are in its config.json", "change id2label there")
    classes, is_text = folder.classes(), folder.has(TOKENIZER)
    network = folder.network(auto(is_text=is_text, has_head=bool(classes)))
    weights = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    files = {file: folder.content(file) for file in (CONFIG, TOKENIZER) if folder.has(file)}
    description = {
        "format": FORMAT,
        "adapter": "huggingface",
        "architecture": f"{type(network).__name__} of transformers" + ("" if classes else HEADLESS),
        **(_of_texts(folder) if is_text else _of_images(folder, network, name)),
    }
    return described(name, description, weights, files, parts, provenance, classes)


def _of_texts(folder: HuggingFaceFolder) -> dict[str, Any]:
    return {
        "preprocessing": {**TEXTS, "tokens": folder.tokens()},
        "pooling": folder.pooling().to_json(),
    }


def _of_images(folder: HuggingFaceFolder, network: nn.Module, name: str) -> dict[str, Any]:
    preprocessing = {**IMAGES, **folder.preprocessing()}
    with tried(name):
        first = has_prefix(network, *preprocessing["resize"])
    pooling = Pooling(FIRST if first else MEAN, length_one=False)
    return {"preprocessing": preprocessing, "pooling": pooling.to_json()}
