"""Trained networks as core packages: they keep to the suite, and compute what was trained."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from tests.unlearning.cores.conformance import Conformance, load
from unlearning.cores import Library
from unlearning.pretraining.encoders import EfficientNetLite0, SmallEncoder, normalized
from unlearning.pretraining.training import seeded

RNG = np.random.default_rng(5)


def encode(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def pixels(count, size):
    return RNG.integers(0, 256, (count, size, size, 3), np.uint8)


class TestSmallEncoder(Conformance):
    @pytest.fixture(scope="class")
    @classmethod
    def package(cls):
        with seeded(2):
            return SmallEncoder(20).package("small", "random numbers")

    @pytest.fixture(scope="class")
    @classmethod
    def samples(cls):
        return [encode(one) for one in pixels(11, 20)]


def test_a_package_computes_what_the_encoder_does():
    with seeded(3):
        encoder = SmallEncoder(24)
    made = load(encoder.package("small", "random numbers"))
    images = pixels(5, 24)
    found = made.extract("3:1x1", [encode(one) for one in images])[:, :-1]
    scale = made._layers["3"].scale
    with torch.inference_mode():
        expected = encoder(normalized(torch.from_numpy(images))).numpy() * scale
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_efficientnet_begins_as_the_core_that_it_is_named_after():
    encoder, core = EfficientNetLite0(96), Library().load("efficientnet-lite0")
    images = pixels(2, 96)
    with torch.inference_mode():
        layers = list(encoder.layers(normalized(torch.from_numpy(images))))
    for number, name in ((7, "7"), (16, "head")):
        found = layers[number].mean(dim=(2, 3)).numpy() * core._layers[name].scale
        expected = core.extract(f"{name}:1x1", [encode(one) for one in images])[:, :-1]
        # Colors are brought to -1 to 1 here, and to (x - 127) / 128 there.
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.999
    at_48 = EfficientNetLite0(48).defaults()
    assert at_48["feature_map"] == core.feature_map
    assert at_48["ridge"] == core.ridge


def test_efficientnet_is_a_package_however_small_its_images():
    made = load(EfficientNetLite0(24).package("fine", "ImageNet"))
    assert made.feature_map == "7:2x2+10:2x2"
    assert np.isfinite(made.extract("", [encode(pixels(1, 24)[0])])).all()


def test_all_of_efficientnet_learns_and_none_of_it_drops_connections():
    encoder = EfficientNetLite0(32).train()
    images = normalized(torch.from_numpy(pixels(2, 32)))
    assert torch.equal(encoder(images), encoder(images))
    encoder(images).square().sum().backward()
    weights = dict(encoder.named_parameters())
    unused = {name for name in weights if weights[name].grad is None}
    assert all("_fc" in name for name in unused)
