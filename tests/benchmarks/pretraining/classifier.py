"""Cross-entropy pre-training: an encoder and a linear classifier, which is dropped."""

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from unlearning.pretraining.augmentation import Augmentation
from unlearning.pretraining.encoders import Encoder, normalized


class Classifier(nn.Module):
    """As ``Cids``: calling it gives the loss of some images."""

    def __init__(
        self, encoder: Encoder, pixels: Tensor, labels: Tensor, augmentation: Augmentation
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.width, int(labels.max()) + 1)
        self._images, self._labels, self._augmentation = pixels, labels, augmentation

    def forward(self, rows: Tensor, generator: Generator) -> Tensor:
        """Of the images of these rows, shape ()."""
        device = self.head.weight.device
        images = self._augmentation(normalized(self._images[rows].to(device)), generator)
        return cross_entropy(self.head(self.encoder(images)), self._labels[rows].to(device))


def compact(labels: "torch.Tensor") -> Tensor:
    """The same classes, numbered from 0 without gaps."""
    return torch.unique(labels, return_inverse=True)[1]
