"""A model on a core with a head of its own, of real digits, from an image to an erasure.

The core is a linear classifier of pixels, which scikit-learn fits to digits that no model holds.
"""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import grpc
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images
from sklearn.linear_model import LogisticRegression
from torch import nn

from tests.e2e.conftest import OpenServer, Server
from unlearn.v1.erasure_pb2 import Erasure, PreviewErasureRequest
from unlearn.v1.model_pb2 import CreateModelRequest, Model, Sample, UserWeights
from unlearn.v1.valuation_pb2 import EstimateErrorRequest
from unlearn_client import Selection
from unlearn_client.cli import main as client_command
from unlearn_server.cli import main as server_command
from unlearning import cores
from unlearning.lattice import feature_lattice
from unlearning.replay.command import main as replay_command

CLASSES = [f"digit {label}" for label in range(10)]
SOME = ["digit 3", "digit 8", "digit 5", "digit 9"]
"""Of a model: in an order of its own."""

HELD = 40

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


class Linear(nn.Module):
    """Pixels, and the logits of a classifier of them."""

    def __init__(self, weight: Any, bias: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight.tolist()))
        self.bias = nn.Parameter(torch.tensor(bias.tolist()))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = x[:, 0].flatten(1)
        return pixels.clone(), torch.addmm(self.bias, pixels, self.weight.t())


class Digits:
    """The core's own digits, and those of a model that tells four of them apart."""

    def __init__(self) -> None:
        data = load_digits()
        self._pixels = (data.images * 15.9375).astype(np.uint8)
        x = self._normalised(np.arange(1000))
        self.classifier = LogisticRegression(max_iter=1000).fit(x, data.target[:1000])
        named = [CLASSES.index(label) for label in SOME]
        self.rows = np.array([i for i in range(1000, 1797) if data.target[i] in named])
        self.labels = np.array([named.index(data.target[i]) for i in self.rows])
        self.test = slice(HELD, None)

    def _normalised(self, rows: Any) -> Any:
        return ((self._pixels[rows] - np.float32(127.5)) / np.float32(127.5)).reshape(-1, 64)

    def images(self, chosen: slice) -> list[bytes]:
        return [_png(pixels) for pixels in self._pixels[self.rows[chosen]]]

    def samples(self, chosen: slice) -> list[Sample]:
        """Ten people, and every fifth CORE."""
        places = range(*chosen.indices(len(self.rows)))
        return [
            Sample(
                sample_id=f"s{i}",
                subject_id=f"person-{i % 10}",
                label=int(self.labels[i]),
                image=_png(self._pixels[self.rows[i]]),
                retention=Sample.USER if i % 5 else Sample.CORE,
            )
            for i in places
        ]

    def logits(self, chosen: slice) -> Any:
        """Of the four classes, as scikit-learn has them."""
        columns = [CLASSES.index(label) for label in SOME]
        return self.classifier.decision_function(self._normalised(self.rows[chosen]))[:, columns]

    def f_c(self, chosen: slice) -> Any:
        return np.rint(self.logits(chosen) * 2**9) / 2**9

    def psi(self, chosen: slice, layer_scale: float) -> Any:
        psi = np.clip(np.float32(layer_scale) * self._normalised(self.rows[chosen]), -8, 8)
        return np.hstack([psi, np.ones((len(psi), 1))])


def _png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.dstack([pixels] * 3)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def digits() -> Digits:
    return Digits()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, digits: Digits, open_server: OpenServer
) -> Iterator[Server]:
    """A server with the core ``linear``."""
    folder = tmp_path_factory.mktemp("heads")
    module = Linear(digits.classifier.coef_, digits.classifier.intercept_).eval()
    program = torch.export.export(module, (torch.zeros(8, 3, 8, 8),)).run_decompositions()
    torch.export.save(program, folder / "linear.pt2")
    words = ["core", "add", str(folder / "linear.pt2"), "--data-dir", str(folder / "data")]
    words += ["--from", "torch-export", "--trained-on", "1,000 of scikit-learn's digits"]
    for label in CLASSES:
        words += ["--class", label]
    done = CliRunner().invoke(server_command, words)
    assert done.exit_code == 0, done.output
    with open_server(folder / "data") as server:
        yield server


@pytest.fixture
def filled(server: Server, fresh_id: Callable[[], str]) -> Callable[[list[Sample]], str]:
    """A model of these samples, released; its id."""

    def filled(samples: list[Sample]) -> str:
        model_id = fresh_id()
        server.client.create_model(model_id, "linear", SOME, has_head=True)
        server.client.add_samples(model_id, samples)
        server.client.create_release(model_id)
        return model_id

    return filled


def described(server: Server) -> Any:
    words = ["core", "inspect", "linear", "--data-dir", str(server.data_dir)]
    return json.loads(CliRunner().invoke(server_command, words).output)["description"]


def predicted(server: Server, model_id: str, digits: Digits) -> Any:
    return server.client.predict(model_id, images=digits.images(digits.test)).logits


def truth(server: Server, model_id: str, digits: Digits, held: list[int]) -> Any:
    """f of the test digits, of a ridge regression on t = alpha onehot(y) - f_c, by NumPy."""
    description, weights = described(server), server.client.get_model(model_id).user_weights
    everything = slice(0, None)
    psi = digits.psi(everything, description["layers"]["0"]["scale"])
    f_c = digits.f_c(everything)
    t = weights.label_scale * np.eye(4)[digits.labels] - f_c
    X = psi[held]
    W = np.linalg.solve(X.T @ X + weights.ridge * np.eye(X.shape[1]), X.T @ t[held])
    return (f_c + psi @ W)[digits.test]


def is_right(logits: Any, digits: Digits) -> Any:
    return logits.argmax(axis=1) == digits.labels[digits.test]


def erase(server: Server, model_id: str, selection: Selection, **values: Any) -> str:
    accepted = server.client.create_erasure(selection, [model_id], **values)
    (outcome,) = server.client.wait_for_erasure(accepted.name).outcomes
    return str(outcome.certificate)


def test_before_a_sample_comes_the_core_answers_itself(
    server: Server, digits: Digits, fresh_id: Callable[[], str]
) -> None:
    model_id = fresh_id()
    created = server.client.create_model(model_id, "linear", SOME)
    assert created.has_head
    logits = predicted(server, model_id, digits)
    np.testing.assert_allclose(logits, digits.logits(digits.test), atol=2.0**-9)
    assert is_right(logits, digits).mean() > 0.9


def test_samples_add_to_what_the_core_answers(
    server: Server, digits: Digits, filled: Callable[[list[Sample]], str]
) -> None:
    model_id = filled(digits.samples(slice(HELD)))
    expected = truth(server, model_id, digits, list(range(HELD)))
    np.testing.assert_allclose(predicted(server, model_id, digits), expected, atol=0.05)


def test_who_is_erased_leaves_the_model_that_never_saw_them(
    server: Server, digits: Digits, filled: Callable[[list[Sample]], str], tmp_path: Path
) -> None:
    samples = digits.samples(slice(HELD))
    gone = [i for i, sample in enumerate(samples) if sample.subject_id == "person-3"]
    left = [sample for i, sample in enumerate(samples) if i not in gone]
    forgot, never = filled(samples), filled(left[::-1])
    certificate = erase(server, forgot, Selection.subjects(["person-3"]), regulation="gdpr")
    after, truly = (predicted(server, model_id, digits) for model_id in (forgot, never))
    np.testing.assert_array_equal(after, truly)
    expected = truth(server, forgot, digits, [i for i in range(HELD) if i not in gone])
    np.testing.assert_allclose(after, expected, atol=0.05)
    salt = bytes(range(32))
    one, other = (server.client.audit_model(model_id, salt) for model_id in (forgot, never))
    assert one.consistent
    assert one.state_commitment_recomputed == other.state_commitment_recomputed
    assert one.weights_commitment_served == other.weights_commitment_served
    replay(server, forgot, certificate, tmp_path, rows=len(left))


def replay(server: Server, model_id: str, certificate: str, tmp_path: Path, rows: int) -> None:
    """The certificate's commitments, from the exported rows alone; not from other logits."""
    file, envelope = tmp_path / "m.npz", tmp_path / "c.json"
    words = ["export", model_id, "--data-dir", str(server.data_dir), "--out", str(file)]
    assert CliRunner().invoke(server_command, words).exit_code == 0
    envelope.write_bytes(server.client.get_certificate(certificate).envelope)
    done = CliRunner().invoke(replay_command, [str(file), "--certificate", str(envelope)])
    assert (done.exit_code, "EQUAL" in done.output) == (0, True), done.output
    with np.load(file) as arrays:
        held = dict(arrays)
    assert held["psi"].shape == (rows, 65 + len(SOME))
    held["psi"][0, -1] += 1
    told = bytes(held.pop("export.json"))
    np.savez(file, **held)
    with ZipFile(file, "a") as archive:
        archive.writestr("export.json", told)
    done = CliRunner().invoke(replay_command, [str(file), "--certificate", str(envelope)])
    assert done.exit_code == 1, done.output


def test_after_zero_the_core_answers_with_what_core_samples_add(
    server: Server, digits: Digits, filled: Callable[[list[Sample]], str], fresh_id: Any
) -> None:
    users = [sample for sample in digits.samples(slice(HELD)) if sample.retention == Sample.USER]
    core = [sample for sample in digits.samples(slice(HELD)) if sample.retention != Sample.USER]
    alone = fresh_id()
    server.client.create_model(alone, "linear", SOME)
    for samples, rows in ((users, []), ([*users, *core], list(range(0, HELD, 5)))):
        model_id = filled(samples)
        before = predicted(server, model_id, digits)
        erase(server, model_id, Selection.all_user_data(), method=Erasure.ZERO)
        after = predicted(server, model_id, digits)
        assert not np.array_equal(before, after)
        np.testing.assert_allclose(after, truth(server, model_id, digits, rows), atol=0.05)
        if not rows:
            np.testing.assert_array_equal(after, predicted(server, alone, digits))
            core_itself = is_right(digits.logits(digits.test), digits).mean()
            assert abs(is_right(after, digits).mean() - core_itself) < 0.005


def test_held_out_accuracy_is_of_the_core_and_the_samples_together(
    server: Server, digits: Digits, filled: Callable[[list[Sample]], str]
) -> None:
    samples = digits.samples(slice(HELD))
    model_id = filled(samples)
    request = EstimateErrorRequest(model=f"models/{model_id}")
    estimated = server.valuation.EstimateError(request)
    description = described(server)
    psi = digits.psi(slice(HELD), description["layers"]["0"]["scale"])
    f_c = digits.f_c(slice(HELD))
    weights = server.client.get_model(model_id).user_weights
    y = weights.label_scale * np.eye(4)[digits.labels[:HELD]]
    residuals = np.empty_like(y)
    for i in range(HELD):
        X, t = np.delete(psi, i, axis=0), np.delete(y - f_c, i, axis=0)
        W = np.linalg.solve(X.T @ X + weights.ridge * np.eye(X.shape[1]), X.T @ t)
        residuals[i] = y[i] - f_c[i] - psi[i] @ W
    right = (y - residuals).argmax(axis=1) == digits.labels[:HELD]
    assert estimated.accuracy == pytest.approx(right.mean())
    assert estimated.error == pytest.approx((residuals**2).sum(axis=1).mean(), rel=1e-2)
    somebody = Selection.subjects(["person-1"])
    asked = PreviewErasureRequest(model=f"models/{model_id}", selection=somebody)
    previewed = server.erasures.PreviewErasure(asked)
    assert previewed.accuracy_before == pytest.approx(right.mean())
    erase(server, model_id, somebody)
    after = server.valuation.EstimateError(request)
    assert previewed.accuracy_after == pytest.approx(after.accuracy)
    assert previewed.error_after == pytest.approx(after.error)


def test_tangent_moves_the_network_from_its_own_head(
    server: Server, fresh_id: Callable[[], str]
) -> None:
    """Two photographs, both shown as what they are not, and one of them forgotten."""
    classes = ["goldfish", "stupa"]
    photographs = load_sample_images().images
    china, flower, part = map(_photograph, [*photographs, photographs[0][:200, :300]])
    weights = UserWeights(parametrization=UserWeights.TANGENT, ridge=1)
    model_id, never = fresh_id(), fresh_id()
    samples = [
        Sample(sample_id="china", subject_id="ann", label=0, image=china),
        Sample(sample_id="flower", subject_id="bob", label=0, image=flower),
    ]
    for name, held in ((model_id, samples), (never, samples[1:])):
        server.client.create_model(
            name, "efficientnet-lite0-imagenet", classes, user_weights=weights
        )
        itself = server.client.predict(name, images=[china, flower]).logits
        server.client.add_samples(name, held)
        server.client.create_release(name)
    assert itself[0, 1] - itself[0, 0] > 10
    taught = server.client.predict(model_id, images=[china, flower, part]).logits
    expected = _kernel_ridge(classes, [china, flower, part], np.array([[15, 0]] * 2), 1.0)
    np.testing.assert_allclose(taught, expected, atol=0.05)
    erase(server, model_id, Selection.subjects(["ann"]))
    after, truly = (
        server.client.predict(name, images=[china, flower]).logits for name in (model_id, never)
    )
    np.testing.assert_allclose(after, truly, atol=0.05)
    assert after[0, 1] > after[0, 0]
    erase(server, model_id, Selection.all_user_data(), method=Erasure.ZERO)
    zero = server.client.predict(model_id, images=[china, flower]).logits
    np.testing.assert_array_equal(zero, itself)


def _kernel_ridge(classes: list[str], images: list[bytes], y: Any, ridge: float) -> Any:
    """f of images, of which the first are the y's, by the dense kernel J J' at the core's head."""
    core, n = cores.load("efficientnet-lite0-imagenet"), len(images) * len(classes)
    lattice = feature_lattice(core.feature_bound)
    outputs = core.extract(core.entrance("head"), images, classes)
    psi, f_c = lattice.round(outputs[:, :-2]).astype(np.int16), outputs[:, -2:]
    J = core.linearize("head", 2, lattice.step, classes).jacobian(psi, double=True)
    rows = np.array([J.rmatvec(unit) for unit in np.eye(n).reshape(n, -1, 2)])
    K, m = rows @ rows.T, y.size
    a = np.linalg.solve(K[:m, :m] + ridge * np.eye(m), (y - f_c[: len(y)]).ravel())
    return f_c + (K[:, :m] @ a).reshape(-1, 2)


def _photograph(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


class TestClassesThatAreNotTheHeads:
    def test_such_a_model_starts_from_nothing(
        self, server: Server, digits: Digits, fresh_id: Callable[[], str]
    ) -> None:
        model_id = fresh_id()
        created = server.client.create_model(model_id, "linear", [*SOME[:3], "an eye"])
        assert not created.has_head
        assert not predicted(server, model_id, digits).any()

    @pytest.mark.parametrize(
        ("core", "classes", "problem"),
        [
            ("linear", [*SOME, "an eye"], "the head of linear has no class 'an eye'"),
            ("features:3", SOME, "features:3 has no head"),
        ],
    )
    def test_to_ask_for_a_head_that_is_lacking_is_refused_by_name(
        self, server: Server, refusal: Any, core: str, classes: list[str], problem: str
    ) -> None:
        model = Model(core=core, classes=classes, has_head=True)
        told = refusal(server.models.CreateModel, CreateModelRequest(model_id="m", model=model))
        assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert (told.field, problem in told.message) == ("has_head", True)

    def test_the_command_line_says_so_too(self, server: Server) -> None:
        words = ["--address", f"localhost:{server.port}", "models", "create", "m", "--head"]
        words += ["--core", "linear", "--class", "an eye"]
        done = CliRunner().invoke(client_command, words)
        assert done.exit_code != 0
        assert "no class 'an eye'" in done.output + done.stderr
