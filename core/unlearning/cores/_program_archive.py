"""Reads the archives that ``torch.export.save`` writes, as data: their pickles are left alone.

An archive is a zip of ``models/model.json``, the graph, and of raw tensors with a JSON index
each for weights and constants (version 8 of torch's export schema).
"""

import json
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from unlearning.cores.digest import Weights
from unlearning.errors import CoreError

SCHEMA = 8

_DTYPES = {4: "<i4", 5: "<i8", 6: "<f2", 7: "<f4", 8: "<f8", 12: "?"}
"""Of ``ScalarType`` in torch's export schema."""

_OF_NODES = ("target", "inputs", "outputs")
"""What is read of an operation; the rest is where it came from."""

_MOST = 2**32
"""Bytes of a tensor or a graph."""


def read(file: Path, core: str) -> tuple[bytes, Weights]:
    """A program as ``program.json`` has it, and its tensors.

    Raises:
        CoreError: if this is no such archive, or one that cannot be read without a pickle.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return _Archive(archive, core).program()
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError, IndexError) as error:
        problem = f"{file} is no program that torch.export saved ({type(error).__name__})"
        raise CoreError(core, problem, "save one with torch.export.save") from error


class _Archive:
    def __init__(self, archive: zipfile.ZipFile, core: str) -> None:
        self._archive, self._core = archive, core
        self._root = archive.namelist()[0].partition("/")[0]

    def program(self) -> tuple[bytes, Weights]:
        model = json.loads(self._content("models/model.json"))
        if model["schema_version"]["major"] != SCHEMA:
            self._refuse("is of another version of torch's export schema", "export it anew")
        graph, specs = model["graph_module"]["graph"], model["graph_module"]["signature"]
        given, tensors = self._inputs(specs["input_specs"])
        sizes = {name: _sizes(value) for name, value in graph["tensor_values"].items()}
        document = {
            "input": given,
            "shape": sizes[given],
            "weights": tensors,
            "shapes": {tensor: sizes[name] for name, tensor in tensors.items()},
            "nodes": [{key: node[key] for key in _OF_NODES} for node in graph["nodes"]],
            "outputs": [output["as_tensor"]["name"] for output in graph["outputs"]],
        }
        held = {**self._tensors("weights"), **self._tensors("constants")}
        return json.dumps(document).encode(), {name: held[name] for name in tensors.values()}

    def _inputs(self, specs: list[dict[str, Any]]) -> tuple[str, dict[str, str]]:
        """What the batch is called in the graph, and the tensors by their names in it."""
        given, tensors = [], {}
        for spec in specs:
            ((kind, of),) = spec.items()
            if kind == "user_input":
                given.append(of["arg"]["as_tensor"]["name"])
            else:
                tensors[of["arg"]["name"]] = of[f"{kind}_name"]
        if len(given) != 1:
            self._refuse(f"takes {len(given)} inputs", "export it for a batch of images alone")
        return given[0], tensors

    def _tensors(self, folder: str) -> Weights:
        index = self._content(f"data/{folder}/model_{folder}_config.json")
        entries = json.loads(index)["config"]
        return {name: self._tensor(folder, entry) for name, entry in entries.items()}

    def _tensor(self, folder: str, entry: dict[str, Any]) -> NDArray[np.generic]:
        meta = entry["tensor_meta"]
        if entry["use_pickle"] or meta["dtype"] not in _DTYPES:
            self._refuse("holds a tensor that only a pickle can give", "save plain tensors")
        dtype = np.dtype(_DTYPES[meta["dtype"]])
        content = self._content(f"data/{folder}/{entry['path_name']}")
        start = meta["storage_offset"]["as_int"] * dtype.itemsize
        strides = [stride["as_int"] * dtype.itemsize for stride in meta["strides"]]
        # NumPy refuses strides that lead out of the buffer.
        return np.array(np.ndarray(_sizes(meta), dtype, content, start, strides))

    def _content(self, name: str) -> bytes:
        entry = self._archive.getinfo(f"{self._root}/{name}")
        if entry.file_size > _MOST:
            self._refuse(f"has {entry.file_size} bytes in {name}", "pack a smaller network")
        return self._archive.read(entry)

    def _refuse(self, problem: str, fix: str) -> NoReturn:
        raise CoreError(self._core, f"the program {problem}", fix)


def _sizes(meta: dict[str, Any]) -> list[int]:
    """A tensor's shape; raises KeyError for a size that is not fixed."""
    return [size["as_int"] for size in meta["sizes"]]
