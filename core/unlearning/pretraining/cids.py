r"""CIDS: contrastive instance discrimination with supervision.

Majumder, Ravichandran, Maji, Achille, Polito and Soatto (2021), arXiv:2101.11058, whose second
version calls it SupMoCo: MoCo (He et al., CVPR 2020) where keys of the query's own class are
positives too. With q_i an image's query, k_i the key of another augmentation of the same image,
and k_1 ... k_K the keys of a queue, all of length 1,

    L = -1/n sum_i sum_p a_ip log( exp(q_i'k_p / tau) / Z_i ),
    Z_i = exp(q_i'k_i / tau) + sum_j exp(q_i'k_j / tau),

where p runs over i itself and the m_i keys of the queue that have its label; they stay in Z_i too.
Without labels p is i alone, and L is the InfoNCE loss of MoCo: that is the ablation. The weights
a_ip sum to 1: i has 1 / (1 + P_i), and the others share the rest, with P_i = min(P, m_i), which is
the mean over drawing P_i of them. With P as large as the queue, all positives count the same, as in
SupCon (Khosla et al., NeurIPS 2020). P is ours: where classes are few, i would be one of hundreds,
and little be left of instance discrimination.

Keys come from an encoder that follows the trained one by an exponential moving average. Nothing
here normalises over a batch, so that no statistics tell a query which key is its own.
"""

from copy import deepcopy

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import log_softmax, normalize

from unlearning.pretraining.augmentation import Augmentation
from unlearning.pretraining.encoders import Encoder, normalized

PROJECTED = 64
"""Entries of queries and keys."""

_NONE = -1
"""The label of what has none."""


def contrastive_loss(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    is_positive: Tensor,
    *,
    positives: int,
    temperature: float,
) -> Tensor:
    """L, a scalar.

    Args:
        queries: q, shape (n, c), rows of length 1.
        keys: each query's own, shape (n, c).
        queue: other keys, shape (K, c), K of 0 too.
        is_positive: which of the queue are positives of a query, bool (n, K).
        positives: P, at least 1.
        temperature: tau.
    """
    own = (queries * keys).sum(1, keepdim=True)
    log_p = log_softmax(torch.cat([own, queries @ queue.T], dim=1) / temperature, dim=1)
    of_class = is_positive.sum(1, keepdim=True, dtype=queries.dtype)
    counted = of_class.clamp(max=positives)
    others = is_positive * (counted / of_class.clamp(min=1))
    return -((log_p[:, :1] + (log_p[:, 1:] * others).sum(1, keepdim=True)) / (1 + counted)).mean()


class Queue(nn.Module):
    """The newest keys and their labels; a new one takes the place of the oldest.

    Attributes:
        keys: shape (size, c).
        labels: int64 (size,).
        pushed: how many ever were.
    """

    keys: Tensor
    labels: Tensor
    pushed: Tensor

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(size, channels))
        self.register_buffer("labels", torch.full((size,), _NONE))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))

    def push(self, keys: Tensor, labels: Tensor) -> None:
        """Adds keys (n, c), of which no more than its size stay."""
        places = (self.pushed + torch.arange(len(keys), device=keys.device)) % len(self.keys)
        kept = slice(max(0, len(keys) - len(self.keys)), None)
        self.keys[places[kept]] = keys[kept]
        self.labels[places[kept]] = labels[kept]
        self.pushed += len(keys)

    def held(self) -> tuple[Tensor, Tensor]:
        """Copies of the keys and the labels there are."""
        count = min(int(self.pushed), len(self.keys))
        return self.keys[:count].clone(), self.labels[:count].clone()


class Cids(nn.Module):
    """What is trained: an encoder, a projection of what it puts out, and their moving average.

    Calling it gives the loss of some images, and moves average and queue on by one step.
    """

    def __init__(
        self,
        encoder: Encoder,
        pixels: Tensor,
        labels: Tensor | None,
        augmentation: Augmentation,
        *,
        positives: int,
        temperature: float,
        momentum: float,
        queue: int,
    ) -> None:
        """Takes images, uint8 (n, size, size, 3), and their labels, int64 (n,), if there are."""
        super().__init__()
        self.query = nn.Sequential(encoder, _projection(encoder.width))
        self.key = deepcopy(self.query).requires_grad_(False)
        self.queue = Queue(queue, PROJECTED)
        self._images, self._labels, self._augmentation = pixels, labels, augmentation
        self._positives, self._temperature, self._momentum = positives, temperature, momentum

    def forward(self, rows: Tensor, generator: Generator) -> Tensor:
        """The loss of the images of these rows, shape ()."""
        device = self.queue.keys.device
        images = normalized(self._images[rows].to(device))
        queries = normalize(self.query(self._augmentation(images, generator)))
        with torch.no_grad():
            follow(self.key, self.query, self._momentum)
            keys = normalize(self.key(self._augmentation(images, generator)))
        labels = self._labels_of(rows).to(device)
        others, their_labels = self.queue.held()
        is_positive = (labels[:, None] == their_labels) & (labels[:, None] != _NONE)
        self.queue.push(keys, labels)
        return contrastive_loss(
            queries,
            keys,
            others,
            is_positive,
            positives=self._positives,
            temperature=self._temperature,
        )

    def _labels_of(self, rows: Tensor) -> Tensor:
        return torch.full_like(rows, _NONE) if self._labels is None else self._labels[rows]


@torch.no_grad()
def follow(follower: nn.Module, leader: nn.Module, momentum: float) -> None:
    """Each of the follower's weights becomes momentum times itself, the rest the leader's."""
    for ours, theirs in zip(follower.parameters(), leader.parameters(), strict=True):
        ours.lerp_(theirs, 1 - momentum)


def _projection(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTED))
