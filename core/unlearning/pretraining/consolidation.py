"""Representation consolidation: what several teachers see, in one student.

Li, Ravichandran, Fowlkes, Polito, Bhotika and Soatto (2021), arXiv:2107.08039: on images without
labels a student learns to predict a generalist and one or more task-specific teachers, by a head
for each, and the heads are dropped afterwards. The paper's teachers put out probabilities of
classes. Few cores have a classifier, so here heads predict features: with v_t(x) those of
teacher t, m_t their mean over the images and h_t(z(x)) the head's,

    L = mean over t of  E ||h_t(z(x)) - (v_t(x) - m_t)||^2 / E ||v_t(x) - m_t||^2,

the part of their variance that is left unexplained, the same for wide and for narrow teachers.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from unlearning.cores import Core
from unlearning.errors import CoreError
from unlearning.pretraining.encoders import Encoder, normalized


def check_teacher(teacher: Core, feature_map: str) -> None:
    """Raises CoreError for a teacher that sees no images, InvalidInputError for an unknown map."""
    if teacher.input != "image":
        problem = f"it takes {teacher.input}, and what it is to teach is on images"
        raise CoreError(teacher.name, problem, "take a teacher that reads images")
    teacher.resolve(feature_map)


def lessons(teacher: Core, feature_map: str, encoded: Sequence[bytes]) -> Tensor:
    """What a teacher makes of encoded images, at its own size and in its own colors.

    Returns:
        v - m in units of its entries' RMS, float32 (n, d), without the constant 1.

    Raises:
        CoreError: if it sees no difference between the images.
    """
    check_teacher(teacher, feature_map)
    features = torch.from_numpy(teacher.extract(feature_map, encoded)[:, :-1])
    centered = features - features.mean(0)
    variance = centered.square().mean()
    if not variance > 0:
        problem = "it sees no difference between the images"
        raise CoreError(teacher.name, problem, "take other images, or another teacher")
    return centered / variance.sqrt()


class Consolidation(nn.Module):
    """What is trained: an encoder and a linear head for each teacher.

    Heads begin at zero, where L is 1: random ones would be so wrong that the encoder would lose
    what it begins with before they are right.
    """

    def __init__(self, encoder: Encoder, pixels: Tensor, lessons: Sequence[Tensor]) -> None:
        """Takes images, uint8 (n, size, size, 3), and each teacher's lessons about them."""
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleList(nn.Linear(encoder.width, lesson.shape[1]) for lesson in lessons)
        for weight in self.heads.parameters():
            nn.init.zeros_(weight)
        self._images, self._lessons = pixels, lessons

    def forward(self, rows: Tensor, generator: Generator) -> Tensor:
        """L over the images of these rows, shape ()."""
        del generator  # the student sees the images as its teachers did
        device = next(self.parameters()).device
        z = self.encoder(normalized(self._images[rows].to(device)))
        left = [
            (head(z) - lesson[rows].to(device)).square().mean()
            for head, lesson in zip(self.heads, self._lessons, strict=True)
        ]
        return torch.stack(left).mean()
