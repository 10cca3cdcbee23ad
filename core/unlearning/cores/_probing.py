"""What a network's layers are: their shapes, and the scales that suit them.

Scales must not come from anybody's data. They are measured once, when a core is packed, on
pictures and sentences that are made here, and are part of its description from then on.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from unlearning.cores._described import Shape
from unlearning.cores._network import Activations, Reader
from unlearning.cores.core import Samples
from unlearning.errors import CoreError

_GRID = 4
"""Layers are pooled on at most so fine a grid when their scale is measured."""

_SUBJECTS = ("A child", "The committee", "Nobody", "My neighbour's dog", "This old engine")
_ACTIONS = ("opened", "remembered", "will never pay for", "is painting", "lost")
_OBJECTS = ("the letter.", "42 green bottles!", "a theory of heat", "what we had agreed on,", "it?")

PROVENANCE = (
    "reciprocal RMS over generated pictures or sentences (unlearning.cores._probing), pooled on "
    f"a grid of at most {_GRID}, rounded to 3 digits"
)


@contextmanager
def tried(core: str) -> Iterator[None]:
    """Runs somebody's network; raises CoreError for whatever it makes of its configuration."""
    try:
        yield
    except Exception as error:
        problem = f"its network does not run ({type(error).__name__})"
        raise CoreError(core, problem, "check its inputs' sizes") from error


@torch.inference_mode()
def shapes(core: str, activations: Activations, reader: Reader) -> dict[str, Shape]:
    """Each layer's channels and size, from the first to the last, for the largest batch.

    Raises:
        CoreError: if the network does not run, if a row depends on its neighbours, or if a
            layer is no square grid.
    """
    with tried(core):
        found = {name: tuple(output.shape) for name, output in activations(reader.largest())}
    _check_independent(core, activations, reader)
    for name, shape in found.items():
        if len(shape) != 4 or shape[2] != shape[3]:
            problem = f"layer {name} is {shape}, and no square grid"
            raise CoreError(core, problem, "use a network whose layers are")
    return {name: (shape[1], shape[2]) for name, shape in found.items()}


def _check_independent(core: str, activations: Activations, reader: Reader) -> None:
    """Turns a batch round: what moves a row's bits depends on its place or its neighbours."""
    _, batch = next(iter(reader.batches(_probes(reader))))
    other_way = activations(batch[::-1].copy("K"))  # as it lies in memory
    for (name, one), (_, other) in zip(activations(batch), other_way, strict=True):
        if not torch.equal(one, other.flip(0)):
            problem = f"at layer {name} a sample's result depends on the others of its batch"
            raise CoreError(core, problem, "use a network that treats each by itself")


@torch.inference_mode()
def described_layers(
    activations: Activations, reader: Reader, shapes: Mapping[str, Shape]
) -> dict[str, Any]:
    """The description's ``layers``, with their scales; 1 where a layer puts out nothing but 0."""
    squares: dict[str, list[float]] = {name: [] for name in shapes}
    for rows, batch in reader.batches(_probes(reader)):
        for name, output in activations(batch):
            squares[name].append(_mean_square(output[: len(rows)]))
    return {
        name: {
            "channels": channels,
            "height": size,
            "width": size,
            "scale": float(f"{(np.mean(squares[name]) or 1.0) ** -0.5:.3g}"),
        }
        for name, (channels, size) in shapes.items()
    }


def _mean_square(output: Tensor) -> float:
    pooled = adaptive_avg_pool2d(output, min(_GRID, output.shape[2]))
    return float(pooled.double().square().mean())


def _probes(reader: Reader) -> Samples:
    return _pictures() if reader.input == "image" else _sentences()


@cache
def _pictures() -> Sequence[bytes]:
    """Random colors on grids of 2 to 33 squares, blurred to one size, as PNG."""
    random = np.random.default_rng(0)
    encoded = []
    for side in range(2, 34):
        colors = random.integers(0, 256, (side, side, 3), np.uint8)
        picture = Image.fromarray(colors).resize((64, 64), Image.Resampling.BILINEAR)
        file = io.BytesIO()
        picture.save(file, "PNG")
        encoded.append(file.getvalue())
    return encoded


def _sentences() -> list[str]:
    return [f"{who} {does} {what}" for who in _SUBJECTS for does in _ACTIONS for what in _OBJECTS]
