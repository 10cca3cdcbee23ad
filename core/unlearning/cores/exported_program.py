"""The adapter ``torch-export``: a program that ``torch.export`` saved, for images.

It takes one batch of images, float32 (n, 3, size, size) of fixed size, and puts out one or
several tensors, (n, c) or (n, c, height, width): the layers, by number, in their order. If
it has a head, the last one is its logits.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unlearning.cores._described import Described
from unlearning.cores._image import ImageReader
from unlearning.cores._network import Activations, Reader
from unlearning.cores._packing import HEADLESS, IMAGES, described, loaded
from unlearning.cores._program import Program
from unlearning.cores._program_archive import read
from unlearning.cores.core import Core
from unlearning.cores.package import FORMAT, Files, Package
from unlearning.errors import CoreError

PROGRAM = "program.json"


def load(package: Package) -> Core:
    """The core of a package; raises CoreError if its description or its weights do not fit."""
    return loaded(package, parts)


def parts(
    core: str, said: Described, weights: Mapping[str, Any], files: Files
) -> tuple[Reader, Activations]:
    """What reads samples, and what computes them; raises CoreError."""
    if PROGRAM not in files:
        raise CoreError(core, f"there is no {PROGRAM} in its description's files", "pack it again")
    program = _program(files[PROGRAM], core)
    _check_tensors(core, program, weights)
    reader = ImageReader.of(said, batch=program.shape[0])
    if program.shape != (reader.batch, 3, reader.size, reader.size):
        problem = f"the program takes {list(program.shape)}, and its images are {reader.size} wide"
        raise CoreError(core, problem, "describe the size that the program takes")
    tensors = {name: torch.tensor(tensor) for name, tensor in weights.items()}

    def activations(batch: NDArray[Any]) -> Iterator[tuple[str, Tensor]]:
        images = torch.from_numpy(np.ascontiguousarray(batch))
        for number, output in enumerate(program(images, tensors)):
            yield str(number), output[:, :, None, None] if output.dim() == 2 else output

    return reader, activations


def pack(source: Path, name: str, provenance: str, classes: Sequence[str] = ()) -> Package:
    """A package of a saved program, ``.pt2``.

    Images are normalised to the range -1 to 1.

    Args:
        source: what ``torch.export.save`` wrote of a program decomposed to core ATen.
        name: of the package.
        provenance: what the network was trained on.
        classes: those whose logits are its last output; none if that is a layer as the others.

    Raises:
        CoreError: if it cannot be read, or not without running code.
    """
    text, weights = read(source, name)
    size = _program(text, name).shape[-1]
    description = {
        "format": FORMAT,
        "adapter": "torch-export",
        "architecture": "a program of core ATen operations" + ("" if classes else HEADLESS),
        "preprocessing": {**IMAGES, "resize": [size, size], "mean": 127.5, "divisor": 127.5},
    }
    return described(name, description, weights, {PROGRAM: text}, parts, provenance, classes)


def _program(text: bytes, core: str) -> Program:
    """The program, if it takes a batch of images; raises CoreError."""
    program = Program(text, core)
    if len(program.shape) != 4 or not all(type(n) is int and n > 0 for n in program.shape):
        problem = f"the program takes {list(program.shape)}, which is no batch of images"
        raise CoreError(core, problem, "export one of float32 (n, 3, size, size)")
    return program


def _check_tensors(core: str, program: Program, weights: Mapping[str, Any]) -> None:
    given = {name: list(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(program.shapes.keys() | given.keys()):
        if program.shapes.get(name) != given.get(name):
            problem = f"the tensor {name} is {given.get(name)}, not {program.shapes.get(name)}"
            raise CoreError(core, problem, "pack all of its weights, and no others")
