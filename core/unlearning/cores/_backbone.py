"""What a backbone of transformers puts out, as layers (n, channels, height, width)."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from threading import local
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from unlearning.cores._described import Described

HEAD, LOGITS = "head", "logits"
"""The layers of the pooled last hidden state, and of what a classifier makes of it, where there
is one; the others are the hidden states by number."""

MEAN, FIRST = "mean", "first"


@dataclass(frozen=True)
class Pooling:
    """How the head makes one vector of tokens.

    Attributes:
        tokens: ``mean`` of them all, or the ``first``.
        length_one: whether it is then brought to length 1.
    """

    tokens: str
    length_one: bool

    @classmethod
    def of(cls, description: Described) -> "Pooling":
        """As the description's ``pooling`` has it; raises CoreError."""
        said = description.part("pooling")
        if said.text("tokens") not in (MEAN, FIRST):
            said.refuse("takes no such tokens", f"take {MEAN} or {FIRST}")
        return cls(said.text("tokens"), said.text("length") == "1")

    def to_json(self) -> dict[str, str]:
        """As descriptions have it."""
        return {"tokens": self.tokens, "length": "1" if self.length_one else "as it is"}

    def __call__(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """One vector each, (n, c), of tokens (n, t, c) and the mask (n, t) of those that count."""
        pooled = tokens[:, 0] if self.tokens == FIRST else _mean(tokens, mask)
        return normalize(pooled, dim=1) if self.length_one else pooled


class Run:
    """Runs a network once for what its backbone and, where it has one, its classifier put out."""

    def __init__(self, network: nn.Module) -> None:
        self._network, self._kept = network, local()
        self._backbone = cast(nn.Module, network.base_model)
        self._backbone.register_forward_hook(self._keep)

    def __call__(self, **inputs: Tensor) -> tuple[Any, list[tuple[str, Tensor]]]:
        """The backbone's output with all hidden states, and the layer of the logits, if any."""
        out = self._network(**inputs, output_hidden_states=True)
        is_headed = self._network is not self._backbone
        logits = [(LOGITS, _as_grid(out.logits))] if is_headed else []
        return self._kept.__dict__.pop("out"), logits

    def _keep(self, _backbone: nn.Module, _inputs: Any, out: Any) -> None:
        self._kept.out = out


class TextBackbone:
    """Computes layers of 1x1 for tokens and masks, int64 (n, 2, length)."""

    def __init__(self, network: nn.Module, pooling: Pooling) -> None:
        self._run, self._pooling = Run(network), pooling

    def __call__(self, batch: NDArray[Any]) -> Iterator[tuple[str, Tensor]]:
        """Each layer, from the first to the last."""
        ids, mask = torch.from_numpy(batch).unbind(1)
        out, logits = self._run(input_ids=ids, attention_mask=mask)
        for number, tokens in enumerate(out.hidden_states):
            yield str(number), _as_grid(_mean(tokens, mask))
        yield HEAD, _as_grid(self._pooling(out.last_hidden_state, mask))
        yield from logits


class ImageBackbone:
    """Computes layers for images, float32 (n, 3, size, size)."""

    def __init__(self, network: nn.Module, pooling: Pooling) -> None:
        self._run, self._pooling = Run(network), pooling

    def __call__(self, batch: NDArray[Any]) -> Iterator[tuple[str, Tensor]]:
        """Each layer, from the first to the last."""
        out, logits = self._run(pixel_values=torch.from_numpy(batch))
        for number, hidden in enumerate(out.hidden_states):
            yield str(number), _on_grid(hidden)
        last = out.last_hidden_state
        yield HEAD, last if last.dim() == 4 else _as_grid(self._pooling(last, _patches(last)))
        yield from logits


@torch.inference_mode()
def has_prefix(network: nn.Module, height: int, width: int) -> bool:
    """Whether the last hidden state of an image has tokens before those of its grid."""
    backbone = cast(nn.Module, network.base_model)
    tokens = backbone(pixel_values=torch.zeros(1, 3, height, width)).last_hidden_state
    return tokens.dim() == 3 and _prefix(tokens) > 0


def _prefix(tokens: Tensor) -> int:
    """How many of an image's tokens (n, t, c) come before those of its square grid."""
    return tokens.shape[1] - isqrt(tokens.shape[1]) ** 2


def _patches(tokens: Tensor) -> Tensor:
    mask = torch.ones(tokens.shape[:2], dtype=torch.int64)
    mask[:, : _prefix(tokens)] = 0
    return mask


def _on_grid(hidden: Tensor) -> Tensor:
    if hidden.dim() == 4:
        return hidden
    side = isqrt(hidden.shape[1])
    channels = hidden[:, _prefix(hidden) :].transpose(1, 2)
    return channels.reshape(len(hidden), -1, side, side)


def _as_grid(vectors: Tensor) -> Tensor:
    return vectors[:, :, None, None]


def _mean(tokens: Tensor, mask: Tensor) -> Tensor:
    weights = mask[:, :, None].to(tokens.dtype)
    return (tokens * weights).sum(1) / weights.sum(1)
