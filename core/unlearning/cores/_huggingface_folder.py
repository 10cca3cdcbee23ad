"""Reads a local folder in Hugging Face's format: its files are data, and nothing in it is run."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils.logging import disable_progress_bar

from unlearning.cores._backbone import FIRST, MEAN, Pooling
from unlearning.cores._transformers import Auto, without_pooler
from unlearning.errors import CoreError

_CLASSIFIERS = ("ForImageClassification", "ForSequenceClassification")
_ONE_OF_MANY = (None, "single_label_classification")
"""Problem types in which each sample is of one class; None stands for the usual."""

_LONGEST = 512
"""Tokens of a text, where the folder allows so many."""


class HuggingFaceFolder:
    """A folder with ``config.json``, safetensors, and what images or texts are prepared by."""

    def __init__(self, path: Path, core: str) -> None:
        self._path, self._core = path, core

    def content(self, name: str) -> bytes:
        """A file that must be there; raises CoreError."""
        try:
            return (self._path / name).read_bytes()
        except OSError as error:
            problem = f"{name} cannot be read: {error.strerror}"
            raise CoreError(
                self._core, problem, "name a folder in Hugging Face's format"
            ) from error

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self._path / name).is_file()

    def json(self, name: str) -> dict[str, Any]:
        """A file's JSON object, empty where it is not there; raises CoreError."""
        if not self.has(name):
            return {}
        try:
            values = json.loads(self.content(name))
        except ValueError:
            values = None
        if not isinstance(values, dict):
            raise CoreError(self._core, f"{name} is no JSON object", "mend it")
        return values

    def classes(self) -> list[str]:
        """What its classifier calls its outputs; empty where it has none that tells classes apart.

        Raises CoreError for names that are not one for each output.
        """
        said = self.json("config.json")
        names, kinds = said.get("id2label"), said.get("architectures")
        kind = str(kinds[0]) if isinstance(kinds, list) and kinds else ""
        is_of_one_class = said.get("problem_type") in _ONE_OF_MANY
        if not (names and kind.endswith(_CLASSIFIERS) and is_of_one_class):
            return []
        try:
            return [str(names[str(output)]) for output in range(len(names))]
        except (KeyError, TypeError) as error:
            problem = "config.json's id2label does not name outputs from 0 on"
            raise CoreError(self._core, problem, "give each output a name") from error

    def network(self, kind: Auto) -> nn.Module:
        """The network with its weights; raises CoreError if they are not all in safetensors."""
        if not any(self._path.glob("*.safetensors")):
            problem = "there are no weights in safetensors, and a pickle can run code"
            raise CoreError(self._core, problem, "save the network with save_pretrained")
        disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            network, report = kind.from_pretrained(
                self._path,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
        # Any folder meets any of transformers' networks here, and they raise what they please.
        except Exception as error:
            problem = f"transformers cannot load it ({type(error).__name__})"
            raise CoreError(self._core, problem, "use a backbone that it has") from error
        network = without_pooler(network).eval()
        missing = sorted(report["missing_keys"] & network.state_dict().keys())
        if missing or report["mismatched_keys"]:
            problem = f"tensors are missing or of other shapes, such as {[*missing, '...'][0]}"
            raise CoreError(self._core, problem, "save the whole network")
        return network

    def tokens(self) -> int:
        """How many tokens a text may have."""
        limits = [
            self.json("sentence_bert_config.json").get("max_seq_length"),
            self.json("tokenizer_config.json").get("model_max_length"),
            self.json("config.json").get("max_position_embeddings"),
        ]
        return min([_LONGEST, *(limit for limit in limits if type(limit) is int and limit > 0)])

    def pooling(self) -> Pooling:
        """How its sentence encoder pools, as sentence-transformers saved it."""
        first = self.json("1_Pooling/config.json").get("pooling_mode_cls_token")
        normalizes = self.has("modules.json") and b".Normalize" in self.content("modules.json")
        return Pooling(FIRST if first else MEAN, length_one=normalizes)

    def preprocessing(self) -> dict[str, Any]:
        """An image's side, and the means and divisors of its colors; raises CoreError."""
        said = self.json("preprocessor_config.json")
        size = said.get("crop_size" if said.get("do_center_crop") else "size")
        sides = list(size.values()) if isinstance(size, dict) else [size]
        if not sides or len(set(sides)) > 1 or type(sides[0]) is not int:
            problem = "preprocessor_config.json says no square that images are brought to"
            raise CoreError(self._core, problem, "give its size as height and width")
        mean, std = said.get("image_mean", [0.5] * 3), said.get("image_std", [0.5] * 3)
        return {
            "resize": [sides[0]] * 2,
            "mean": [255 * value for value in mean],
            "divisor": [255 * value for value in std],
        }
