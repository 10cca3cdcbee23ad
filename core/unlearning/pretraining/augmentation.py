"""Random changes of images that leave what is on them: crops, mirroring, colors, blur.

Those of MoCo v2 (Chen et al., 2020, arXiv:2003.04297, which has them of SimCLR), each image drawn
its own. Images are float32 (n, 3, height, width), colors from -1 to 1. All is drawn on the CPU,
from a generator that is handed in, so that a device changes no draw.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, conv1d, grid_sample, pad

_LUMA = (0.299, 0.587, 0.114)
"""Of ITU-R BT.601."""

_ASPECT = 4 / 3
_JITTERED, _GRAY, _BLURRED = 0.8, 0.2, 0.5
"""Parts of the images."""

_SIGMAS = (0.1, 1.0)
"""Of the blur, in pixels of an image of _BLUR_SIZE pixels; in proportion in others."""

_BLUR_SIZE, _BLUR_RADIUS = 32, 0.1


@dataclass(frozen=True)
class Augmentation:
    """What may be done to images.

    Attributes:
        smallest_crop: part of an image's area, above 0 and at most 1.
        mirrored: whether left and right may change places.
        jitter: by how much brightness, contrast and saturation may change, from 0 below 1.
    """

    smallest_crop: float = 0.2
    mirrored: bool = True
    jitter: float = 0.4

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """New images of the same shape."""
        images = self._crop(images, generator)
        images = torch.where(
            _some(images, _JITTERED, generator), self._recolor(images, generator), images
        )
        images = torch.where(_some(images, _GRAY, generator), gray(images), images)
        return torch.where(_some(images, _BLURRED, generator), _blur(images, generator), images)

    def _crop(self, images: Tensor, generator: Generator) -> Tensor:
        """A rectangle of each, at its original size again."""
        n = len(images)
        area = _uniform(n, self.smallest_crop, 1.0, generator)
        aspect = torch.exp(_uniform(n, -1.0, 1.0, generator) * torch.tensor(_ASPECT).log())
        width, height = ((area * aspect**k).sqrt().clamp(max=1.0) for k in (1, -1))
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0], theta[:, 1, 1] = width, height
        theta[:, 0, 2] = (1 - width) * _uniform(n, -1.0, 1.0, generator)
        theta[:, 1, 2] = (1 - height) * _uniform(n, -1.0, 1.0, generator)
        if self.mirrored:
            theta[:, 0, 0] *= torch.sign(torch.rand(n, generator=generator) - 0.5)
        grid = affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
        return grid_sample(images, grid, padding_mode="reflection", align_corners=False)

    def _recolor(self, images: Tensor, generator: Generator) -> Tensor:
        """Brightness, contrast and saturation, each by a factor."""
        low, high = 1 - self.jitter, 1 + self.jitter
        brightness, contrast, saturation = (
            _uniform(len(images), low, high, generator).to(images.device)[:, None, None, None]
            for _ in range(3)
        )
        colors = (images + 1) * brightness - 1
        mean = gray(colors).mean(dim=(1, 2, 3), keepdim=True)
        colors = mean + (colors - mean) * contrast
        luma = gray(colors)
        return (luma + (colors - luma) * saturation).clamp(-1, 1)


def gray(images: Tensor) -> Tensor:
    """The luma of each pixel, in all three colors; an image that is gray comes back as it was."""
    weights = torch.tensor(_LUMA, dtype=images.dtype, device=images.device)
    return (images * weights[:, None, None]).sum(1, keepdim=True).expand_as(images)


def _blur(images: Tensor, generator: Generator) -> Tensor:
    """By a Gaussian of each image's own width, first across and then down."""
    n, channels, height, width = images.shape
    radius = max(1, round(_BLUR_RADIUS * width))
    sigma = _uniform(n, *_SIGMAS, generator) * width / _BLUR_SIZE
    kernels = torch.exp(-((torch.arange(-radius, radius + 1) / sigma[:, None]) ** 2) / 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).to(images)[:, None]
    for _ in range(2):
        # Images as channels, their lines as a batch: one kernel for each group.
        lines = images.permute(1, 2, 0, 3).reshape(channels * height, n, width)
        lines = conv1d(pad(lines, (radius, radius), "replicate"), kernels, groups=n)
        images = lines.reshape(channels, height, n, width).permute(2, 0, 3, 1)
        height, width = width, height
    return images


def _some(images: Tensor, part: float, generator: Generator) -> Tensor:
    """Which images, by chance, shape (n, 1, 1, 1)."""
    return (torch.rand(len(images), 1, 1, 1, generator=generator) < part).to(images.device)


def _uniform(n: int, low: float, high: float, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=generator)
