"""Augmentations: what they must leave, and what they must not."""

import pytest
import torch
from torch.nn.functional import conv2d, pad

from unlearning.pretraining import augmentation
from unlearning.pretraining.augmentation import Augmentation, gray


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=12, size=20):
    return torch.rand(n, 3, size, size, generator=generator(3)) * 2 - 1


def augmented(n=64, seed=0, **options):
    return Augmentation(**options)(images(n), generator(seed))


def test_shapes_and_colors_stay_in_their_range():
    found = augmented()
    assert found.shape == images(64).shape
    assert found.abs().max() <= 1 + 1e-6


def test_a_seed_says_all():
    assert torch.equal(augmented(seed=1), augmented(seed=1))
    assert not torch.equal(augmented(seed=1), augmented(seed=2))


def test_an_image_changes_not_with_its_neighbours():
    x = images(4)
    y = x.clone()
    y[1:] = 0
    one, other = (Augmentation()(each, generator()) for each in (x, y))
    assert torch.allclose(one[0], other[0], atol=1e-6)
    assert not torch.allclose(one[1], other[1], atol=1e-3)


def crops(x, **options):
    return Augmentation(**options)._crop(x, generator())


def test_a_crop_of_everything_is_the_image_or_its_mirror():
    # At the largest area some have another shape; those that have the image's are the image.
    x = images(1, 8).expand(400, -1, -1, -1)
    found = crops(x, smallest_crop=1.0)
    kinds = [(found - one).abs().amax(dim=(1, 2, 3)).min() for one in (x, x.flip(3))]
    assert max(kinds) < 0.1


def test_only_mirrored_ones_run_backwards():
    ramp = torch.linspace(-1, 1, 20).expand(200, 3, 20, 20).contiguous()

    def slopes(mirrored):
        found = crops(ramp, smallest_crop=0.5, mirrored=mirrored)
        return (found[..., 15] - found[..., 4]).mean(dim=(1, 2))

    assert (slopes(False) > 0).all()
    backwards = (slopes(True) < 0).float().mean()
    assert 0.35 < backwards < 0.65


def test_crops_are_as_large_as_they_may_be():
    # The slope of a ramp that is cropped and enlarged is the crop's width.
    ramp = torch.linspace(-1, 1, 40).expand(500, 3, 40, 40).contiguous()
    both = [crops(one, smallest_crop=0.3, mirrored=False) for one in (ramp, ramp.transpose(2, 3))]
    width = (both[0][..., 20, 25] - both[0][..., 20, 15])[:, 0] / (10 * 2 / 39)
    height = (both[1][..., 25, 20] - both[1][..., 15, 20])[:, 0] / (10 * 2 / 39)
    area = width * height
    assert 0.2 < area.min() < 0.35
    assert area.max() <= 1.001


def test_gray_keeps_gray_and_is_gray():
    x = gray(images())
    assert torch.allclose(gray(x), x, atol=1e-6)
    assert torch.equal(x[:, 0], x[:, 1])


def test_no_jitter_changes_no_color():
    x = images()
    found = Augmentation(jitter=0.0)._recolor(x, generator())
    assert torch.allclose(found, x, atol=1e-6)
    assert not torch.allclose(Augmentation(jitter=0.4)._recolor(x, generator()), x, atol=0.05)


def test_the_blur_is_a_gaussian(monkeypatch):
    sigma = 1.2
    monkeypatch.setattr(augmentation, "_SIGMAS", (sigma * 32 / 30, sigma * 32 / 30))
    x = images(3, 32)[..., :30]
    found = augmentation._blur(x, generator())
    places = torch.arange(-3, 4)
    line = torch.exp(-(places**2) / (2 * sigma**2))
    square = torch.outer(line, line) / line.sum() ** 2
    expected = conv2d(pad(x.reshape(9, 1, 32, 30), (3,) * 4, "replicate"), square[None, None])
    assert torch.allclose(found, expected.reshape(x.shape), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_about_half_are_blurred_and_a_fifth_are_gray(seed):
    found = Augmentation(smallest_crop=1.0)(images(400, 8), generator(seed))
    is_gray = (found - gray(found)).abs().amax(dim=(1, 2, 3)) < 1e-6
    assert 0.12 < is_gray.float().mean() < 0.28
