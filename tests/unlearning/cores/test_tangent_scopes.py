"""The core, linearised: against the network's own modules and automatic differentiation."""

import hashlib
import io

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from threadpoolctl import threadpool_limits
from torch.nn.functional import relu6

from unlearning.cores import load
from unlearning.cores._classifier import classifier_signs
from unlearning.errors import InvalidInputError
from unlearning.lattice import feature_lattice

CORE = load("efficientnet-lite0")
CLASSIFIER_SCALE = 0.061
LATTICE = feature_lattice(CORE.feature_bound)
SCOPES = ["head", "last:1", "last:6", "last:16", "all"]
CLASSES = 3
PHOTOGRAPHS = load_sample_images().images


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Products are small here: threads would only wait for each other."""
    with threadpool_limits(1):
        yield


def encode(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


IMAGES = [encode(photograph[:300, 100:400]) for photograph in PHOTOGRAPHS]


def stored(scope, images=IMAGES):
    return LATTICE.round(CORE.extract(CORE.entrance(scope), images)).astype(np.int16)


def draw(*shape):
    return np.random.default_rng(4).normal(size=shape)


class Published(torch.nn.Module):
    """The network behind an entrance, in modules with their own padding, in float64."""

    def __init__(self, scope):
        super().__init__()
        network = load("efficientnet-lite0")._network.double()
        first = {"head": 16, "all": -1}.get(scope)
        if first is None:
            first = 16 - int(scope.removeprefix("last:"))
        if first < 0:
            self.stem = network.get_submodule("_conv_stem")
        self.blocks = torch.nn.Sequential(
            *list(network.get_submodule("_blocks").children())[max(first, 0) :]
        )
        self.head = network.get_submodule("_conv_head")
        self.classifier = torch.nn.Linear(1280, CLASSES).double()
        signs = classifier_signs(CORE.digest, CLASSES, 1280)
        self.classifier.weight.data[:] = torch.tensor(CLASSIFIER_SCALE * signs.astype(float))
        self.classifier.bias.data[:] = 0

    def forward(self, x):
        x = relu6(self.stem(x)) if hasattr(self, "stem") else x
        return self.classifier(relu6(self.head(self.blocks(x))).mean((2, 3)))


@pytest.fixture(scope="module", params=SCOPES)
def case(request):
    """A scope, its stored rows, and the published network as a function of flat weights."""
    psi = stored(request.param)
    layer = CORE.entrance(request.param).partition(":")[0]
    scale = {"input": 1.0, "stem": 0.376}.get(layer) or CORE.description["layers"][layer]["scale"]
    size = int(CORE.entrance(request.param).rpartition("x")[2])
    x = torch.tensor(psi[:, :-1] * LATTICE.step / scale).view(len(psi), -1, size, size)
    network = Published(request.param).eval()
    parameters = {name: p.detach() for name, p in network.named_parameters()}

    def function(weights):
        return torch.func.functional_call(network, weights, (x,))

    return request.param, psi, parameters, function


def as_parameters(w, parameters):
    """w, whose layers are matrices [W, b], in the modules' own shapes."""
    w, result = torch.tensor(w), {}
    names = list(parameters)
    for weight, bias in zip(names[::2], names[1::2], strict=True):
        outputs = len(parameters[bias])
        size = parameters[weight].numel() + outputs
        matrix, w = w[:size].view(outputs, -1), w[size:]
        result[weight] = matrix[:, :-1].reshape(parameters[weight].shape)
        result[bias] = matrix[:, -1].clone()
    assert not len(w)
    return result


def as_vector(parameters):
    values = list(parameters.values())
    return torch.cat(
        [
            torch.cat([weight.flatten(1), bias[:, None]], dim=1).flatten()
            for weight, bias in zip(values[::2], values[1::2], strict=True)
        ]
    ).numpy()


def linearize(scope):
    return CORE.linearize(scope, CLASSES, LATTICE.step)


def distance(ours, truth):
    return np.linalg.norm(ours - truth) / np.linalg.norm(truth)


class TestJacobian:
    # What torch.func itself makes use of.
    @pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated:DeprecationWarning")
    def test_products_are_those_of_automatic_differentiation(self, case):
        scope, psi, parameters, function = case
        jacobian = linearize(scope).jacobian(psi, double=True)
        v, u = draw(jacobian.parameters), draw(len(psi), CLASSES)
        _, truth = torch.func.jvp(function, (parameters,), (as_parameters(v, parameters),))
        assert distance(jacobian.matvec(v), truth.numpy()) < 1e-11
        (back,) = torch.func.vjp(function, parameters)[1](torch.tensor(u))
        assert distance(jacobian.rmatvec(u), as_vector(back)) < 1e-11

    def test_rmatvec_is_the_adjoint(self, case):
        scope, psi, _, _ = case
        jacobian = linearize(scope).jacobian(psi, double=True)
        v, u = draw(jacobian.parameters), draw(len(psi), CLASSES)
        forth, back = (jacobian.matvec(v) * u).sum(), v @ jacobian.rmatvec(u)
        assert abs(forth - back) < 1e-12 * np.linalg.norm(jacobian.matvec(v)) * np.linalg.norm(u)

    @pytest.mark.parametrize("case", ["head", "last:1", "all"], indirect=True)
    def test_matvec_is_the_slope_of_the_network(self, case):
        scope, psi, parameters, function = case
        jacobian = linearize(scope).jacobian(psi, double=True)
        v = draw(jacobian.parameters) * np.abs(as_vector(parameters)).mean()
        change, step = as_parameters(v, parameters), 1e-7
        there, back = (
            function({name: p + sign * step * change[name] for name, p in parameters.items()})
            for sign in (1, -1)
        )
        assert distance(jacobian.matvec(v), ((there - back) / (2 * step)).numpy()) < 1e-4

    def test_single_precision_is_near_double(self, case):
        scope, psi, _, _ = case
        single, double = (linearize(scope).jacobian(psi, double=d) for d in (False, True))
        v, u = draw(double.parameters), draw(len(psi), CLASSES)
        # A unit that rounding turns on or off changes J by more than rounding itself.
        assert distance(single.matvec(v), double.matvec(v)) < 1e-3
        assert distance(single.rmatvec(u), double.rmatvec(u)) < 1e-3

    @pytest.mark.parametrize(
        ("scope", "parameters"),
        [("head", 321 * 1280 + 1281 * 3), ("last:1", 321 * 1280 + 1281 * 3 + 602_816)],
    )
    def test_counts_its_parameters(self, scope, parameters):
        assert linearize(scope).parameters == parameters
        assert linearize(scope).outputs == 3


class TestEntrance:
    @pytest.mark.parametrize(
        ("scope", "feature_map"),
        [
            ("head", "15:3x3"),
            ("last:1", "14:3x3"),
            ("last:5", "10:6x6"),
            ("last:15", "0:48x48"),
            ("last:16", "stem:48x48"),
            ("all", "input:96x96"),
        ],
    )
    def test_is_the_whole_layer_in_front(self, scope, feature_map):
        assert CORE.entrance(scope) == CORE.resolve(feature_map) == feature_map

    def test_of_all_is_the_pixels_to_the_bit(self):
        image = Image.fromarray(PHOTOGRAPHS[0][:300, 100:400]).resize(
            (96, 96), Image.Resampling.BILINEAR
        )
        pixels = (np.asarray(image, np.float64) - 127) / 128
        row = stored("all")[0]
        assert (row[:-1] * LATTICE.step == pixels.transpose(2, 0, 1).ravel()).all()

    @pytest.mark.parametrize(
        "scope",
        [
            "",
            "last",
            "last:",
            "last:0",
            "last:17",
            "last:01",
            "last:-1",
            "last:٣",
            "Head",
            "15:3x3",
        ],
    )
    @pytest.mark.parametrize("use", [CORE.entrance, linearize])
    def test_scopes_that_name_no_weights_are_refused(self, scope, use):
        with pytest.raises(InvalidInputError, match="names no weights; use head, last:1") as error:
            use(scope)
        assert error.value.field == "user_weights.tangent_scope"

    def test_a_core_without_a_network_has_none(self):
        features = load("features:3")
        for use in (features.entrance, lambda scope: features.linearize(scope, 2, 1.0)):
            with pytest.raises(InvalidInputError, match="features:3 has no network"):
                use("head")


class TestClassifier:
    def test_signs_are_the_bits_of_the_hashes_written_by_hand(self):
        digest = "ab" * 32
        for c, row in enumerate(classifier_signs(digest, 3, 300)):
            bits = ""
            for i in range(2):
                message = b"\xab" * 32 + bytes([0, 0, 0, c, 0, 0, 0, i])
                bits += f"{int(hashlib.sha256(message).hexdigest(), 16):0256b}"
            assert row.tolist() == [-1 if bit == "1" else 1 for bit in bits[:300]]

    def test_signs_are_pinned(self):
        signs = classifier_signs(CORE.digest, 10, 1280)
        assert (
            hashlib.sha256(signs.tobytes()).hexdigest()
            == "5c19dd23edd6095353d4d9f6df23029943f1029de890e28996e0fc0c06ffb2e9"
        )

    def test_more_classes_leave_the_first_ones(self):
        few, many = (classifier_signs(CORE.digest, classes, 1280) for classes in (2, 5))
        assert (many[:2] == few).all()

    def test_contributes_as_much_as_the_head(self):
        crops = [
            encode(p[t : t + s, s // 2 : s // 2 + s])
            for p in PHOTOGRAPHS
            for s in (107, 214)
            for t in (0, 100, 200)
        ]
        linearization = CORE.linearize("head", 1, LATTICE.step)
        shares = []
        for row in stored("head", crops):
            jacobian = linearization.jacobian(row[None], double=True)
            squares = jacobian.rmatvec(np.ones((1, 1))) ** 2
            shares.append([squares[: 321 * 1280].sum(), squares[321 * 1280 :].sum()])
        body, classifier = np.sum(shares, axis=0)
        assert body / classifier == pytest.approx(1, rel=0.2)


def test_the_stems_scale_is_measured_like_the_others():
    crops = [
        encode(p[i * (p.shape[0] - s) // 3 :, j * (p.shape[1] - s) // 3 :][:s, :s])
        for s in (107, 214, 427)
        for p in PHOTOGRAPHS
        for i in range(4)
        for j in range(4)
    ]
    psi = CORE.extract("stem:4x4", crops)[:, :-1].astype(np.float64)
    assert np.sqrt(np.mean(psi**2)) == pytest.approx(1, rel=0.005)
