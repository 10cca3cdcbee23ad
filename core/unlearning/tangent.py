"""The Jacobian of a network's weights as a linear operator, in blocks of rows.

Stored rows are the activations in front of the weights that are linearised, so only that
end of the network runs: once, and what it computed is kept as far as there is room.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unlearning.errors import InvalidInputError
from unlearning.linearized import Floats
from unlearning.piecewise_linear import Convolution, Sequential
from unlearning.row_gradients import row_gradients

BLOCK_BYTES = 2**25
"""Activations of the rows that are worked on at a time; with fewer, products are slower."""

KEPT_BYTES = 2**30
"""Activations that a Jacobian keeps; those of rows beyond are recomputed in each product."""


_MIXTURES = 4
"""Of outputs: with one, a solve took half again as many iterations as with all of ten."""


@dataclass(frozen=True)
class Entrance:
    """How stored rows become the activations that a network takes.

    Attributes:
        channels, size: of the activations, on a grid of size x size.
        unit: what 1 in a stored row stands for.
    """

    channels: int
    size: int
    unit: float

    def activations(self, psi: NDArray[np.int16], like: Tensor) -> Tensor:
        """Activations (n, size, size, channels) of rows (n, d), whose last entry is not used."""
        stored = torch.tensor(psi[:, :-1], dtype=like.dtype, device=like.device) * self.unit
        by_channel = stored.view(-1, self.channels, self.size, self.size)
        return by_channel.permute(0, 2, 3, 1).contiguous()


class TangentLinearization:
    """A ``Linearization`` of layers that end in a grid of one position."""

    def __init__(self, network: Callable[[torch.dtype], Sequential], entrance: Entrance) -> None:
        """Takes a function that makes the layers, with weights of a dtype."""
        self._network, self._entrance = network, entrance
        shapes = [layer.shape for layer in self._single.convolutions()]
        self.parameters = sum(map(prod, shapes))
        self.outputs = shapes[-1][1]

    @cached_property
    def _single(self) -> Sequential:
        return self._network(torch.float32)

    @cached_property
    def _double(self) -> Sequential:
        return self._network(torch.float64)

    def jacobian(self, psi: NDArray[np.int16], *, double: bool) -> "TangentJacobian":
        """J of stored rows; raises InvalidInputError if their activations are not finite."""
        return TangentJacobian(self._double if double else self._single, self._entrance, psi)


class TangentJacobian:
    """A ``Jacobian`` that computes in the dtype and on the device of the layers' weights."""

    def __init__(self, network: Sequential, entrance: Entrance, psi: NDArray[np.int16]) -> None:
        self._network, self._entrance, self._psi = network, entrance, psi
        self._layers = list(network.convolutions())
        self._sizes = [prod(layer.shape) for layer in self._layers]
        self.rows, self.parameters = len(psi), sum(self._sizes)
        self.outputs = self._layers[-1].shape[1]
        self._blocks = self._divide()
        self._kept = self._run()

    @torch.inference_mode()
    def matvec(self, v: Floats) -> Floats:
        """J v, shape (n, C), for v of shape (p,)."""
        parts = torch.split(self._tensor(v), self._sizes)
        direction = {
            layer: part.view(layer.shape) for layer, part in zip(self._layers, parts, strict=True)
        }
        product = np.empty((self.rows, self.outputs))
        for rows, cache in self._caches():
            derivative = cast(Tensor, self._network.jvp(cache, None, direction))
            product[rows] = derivative.flatten(1).cpu()
        return product

    @torch.inference_mode()
    def rmatvec(self, u: Floats) -> Floats:
        """J' u, shape (p,), for u of shape (n, C)."""
        total = {layer: self._tensor(np.zeros(layer.shape)) for layer in self._layers}

        def add(layer: Convolution, x: Tensor, dy: Tensor) -> None:
            total[layer] += layer.gradient(x, dy)

        signals = self._tensor(u)[:, None, None]
        for rows, cache in self._caches():
            self._network.vjp(cache, signals[rows], add, inward=False)
        flat = torch.cat([gradient.flatten() for gradient in total.values()])
        return np.asarray(flat.cpu(), np.float64)

    @torch.inference_mode()
    def mean_kernel(self, stop: Callable[[], None]) -> Floats | None:
        """About Kbar: the kernels of a few random mixtures u'f of the outputs (Hutchinson, 1989).

        E[u u'] = I / C makes it Kbar in the mean. None where what it keeps of the way back, as
        much as of the way forward, does not fit in KEPT_BYTES.
        """
        if len(self._kept) < len(self._blocks):
            return None
        mixtures = np.random.default_rng(0).choice([-1.0, 1.0], (_MIXTURES, 1, self.outputs))
        kernel = np.zeros((self.rows, self.rows))
        for u in mixtures / np.sqrt(_MIXTURES * self.outputs):
            for layer, visits in self._visits(np.repeat(u, self.rows, axis=0)).items():
                for gradients in row_gradients(layer, visits, BLOCK_BYTES):
                    stop()
                    kernel += gradients @ gradients.T
        return kernel

    def _visits(self, u: Floats) -> dict[Convolution, list[tuple[Tensor, Tensor]]]:
        """Each layer's activations and signals on the way back of u'f, in blocks of rows."""
        visits: dict[Convolution, list[tuple[Tensor, Tensor]]] = {}

        def visit(layer: Convolution, x: Tensor, dy: Tensor) -> None:
            visits.setdefault(layer, []).append((x, dy))

        signals = self._tensor(u)[:, None, None]
        for rows, cache in self._caches():
            self._network.vjp(cache, signals[rows], visit, inward=False)
        return visits

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        like = self._layers[0].bias
        return torch.tensor(values, dtype=like.dtype, device=like.device)

    def _divide(self) -> list[slice]:
        """Blocks of rows whose activations take BLOCK_BYTES, or of one row."""
        if not self.rows:
            return []
        size = max(1, BLOCK_BYTES // _bytes(self._forward(slice(1))))
        return [slice(start, start + size) for start in range(0, self.rows, size)]

    def _run(self) -> list[Any]:
        """Checks every row, and returns what it computed for the first blocks."""
        kept, room = [], KEPT_BYTES
        for rows in self._blocks:
            cache = self._forward(rows)
            _check_finite(cache, rows.start)
            room -= _bytes(cache)
            if room >= 0:
                kept.append(cache)
        return kept

    def _caches(self) -> Iterator[tuple[slice, Any]]:
        for i, rows in enumerate(self._blocks):
            yield rows, self._kept[i] if i < len(self._kept) else self._forward(rows)

    @torch.inference_mode()
    def _forward(self, rows: slice) -> Any:
        x = self._entrance.activations(self._psi[rows], self._layers[0].bias)
        return self._network.forward(x)[1]


def _check_finite(cache: Any, first: int) -> None:
    finite = torch.stack([tensor.isfinite().flatten(1).all(1) for tensor in _tensors(cache)])
    rows = finite.all(0)
    if not rows.all():
        raise InvalidInputError(
            "features",
            "the network's activations for a row are not finite",
            "remove the row",
            row=first + int(rows.int().argmin()),
        )


def _bytes(cache: Any) -> int:
    # A layer may keep its output and the next one its input, which are the same.
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in _tensors(cache)}.values())


def _tensors(cache: Any) -> Iterator[Tensor]:
    if isinstance(cache, Tensor):
        yield cache
    else:
        for part in cache:
            yield from _tensors(part)
