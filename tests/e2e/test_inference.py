"""Predictions by the Open Inference Protocol, against weights worked out by hand."""

import io
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from PIL import Image

from inference import open_inference_grpc_pb2 as pb
from unlearn.v1.model_pb2 import Features, Sample
from unlearn_client import Selection
from unlearning import cores

CLASSES = ["cat", "dog", "bird"]

Input = pb.ModelInferRequest.InferInputTensor


@pytest.fixture
def samples(make_sample: Callable[..., Sample]) -> list[Sample]:
    return [make_sample(f"s{i}", f"p{i}") for i in range(12)]


def features_request(model_id: str, rows: np.ndarray, *, raw: bool, **fields: Any) -> Any:
    tensor = Input(name="features", datatype="FP32", shape=rows.shape)
    request = pb.ModelInferRequest(model_name=model_id, inputs=[tensor], **fields)
    if raw:
        request.raw_input_contents.append(rows.astype("<f4").tobytes())
    else:
        request.inputs[0].contents.fp32_contents.extend(rows.ravel().tolist())
    return request


def images_request(model_id: str, images: list[bytes], *, raw: bool) -> Any:
    tensor = Input(name="image", datatype="BYTES", shape=[len(images)])
    request = pb.ModelInferRequest(model_name=model_id, inputs=[tensor])
    if raw:
        elements = (len(i).to_bytes(4, "little") + i for i in images)
        request.raw_input_contents.append(b"".join(elements))
    else:
        request.inputs[0].contents.bytes_contents.extend(images)
    return request


def logits_of(response: Any) -> np.ndarray:
    [output] = [i for i, output in enumerate(response.outputs) if output.name == "logits"]
    assert response.outputs[output].datatype == "FP32"
    raw = np.frombuffer(response.raw_output_contents[output], "<f4")
    return raw.reshape(response.outputs[output].shape)


def classes_of(response: Any) -> list[str]:
    [output] = [i for i, output in enumerate(response.outputs) if output.name == "class"]
    raw, labels = response.raw_output_contents[output], []
    while raw:
        length = int.from_bytes(raw[:4], "little")
        labels.append(raw[4 : 4 + length].decode())
        raw = raw[4 + length :]
    assert [len(labels)] == response.outputs[output].shape
    return labels


@pytest.mark.parametrize("raw", [True, False])
def test_predictions_are_those_of_the_exact_optimum(server, filled, samples, truth_of, raw):
    model_id = filled(samples)
    truth = truth_of(server.client.get_model(model_id))
    rows = np.random.default_rng(1).normal(scale=4, size=(50, 3)).astype(np.float32)
    rows[0] = [1e30, -1e30, 0.0]  # beyond the bound: clipped, as in training

    response = server.inference.ModelInfer(features_request(model_id, rows, raw=raw, id="mine"))

    expected = truth.logits(samples, rows)
    np.testing.assert_allclose(logits_of(response), expected, rtol=1e-6, atol=1e-6)
    assert classes_of(response) == [CLASSES[i] for i in logits_of(response).argmax(axis=1)]
    assert (response.model_name, response.model_version, response.id) == (model_id, "1", "mine")


def test_after_an_erasure_predictions_are_those_of_the_optimum_without_it(
    server, filled, samples, truth_of
):
    model_id = filled(samples)
    truth = truth_of(server.client.get_model(model_id))
    erasure = server.client.create_erasure(Selection.samples(["s0", "s5"]), [model_id])
    server.client.wait_for_erasure(erasure.name)
    rows = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
    response = server.inference.ModelInfer(features_request(model_id, rows, raw=True))
    remain = [sample for sample in samples if sample.sample_id not in {"s0", "s5"}]
    np.testing.assert_allclose(logits_of(response), truth.logits(remain, rows), rtol=1e-6)
    assert response.model_version == "2"


def test_a_model_without_a_release_answers_zeros(server, filled, samples):
    model_id = filled(samples, release=False)
    rows = np.ones((2, 3), np.float32)
    response = server.inference.ModelInfer(features_request(model_id, rows, raw=True))
    assert logits_of(response).tolist() == [[0.0] * 3] * 2
    assert response.model_version == ""


def test_what_is_added_counts_only_from_the_next_release(server, filled, samples):
    model_id = filled(samples[:6])
    request = features_request(model_id, np.ones((1, 3), np.float32), raw=True)
    before = server.inference.ModelInfer(request)
    server.client.add_samples(model_id, samples)
    assert server.inference.ModelInfer(request) == before
    server.client.create_release(model_id)
    assert logits_of(server.inference.ModelInfer(request)).tolist() != logits_of(before).tolist()


def test_no_rows_are_answered_by_no_rows(server, filled, samples):
    request = features_request(filled(samples), np.empty((0, 3), np.float32), raw=True)
    assert logits_of(server.inference.ModelInfer(request)).shape == (0, 3)


@pytest.mark.parametrize("chosen", [["logits"], ["class"], ["class", "logits"], []])
def test_outputs_are_those_asked_for_in_that_order(server, filled, samples, chosen):
    asked = [pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in chosen]
    request = features_request(
        filled(samples), np.ones((2, 3), np.float32), raw=True, outputs=asked
    )
    response = server.inference.ModelInfer(request)
    assert [output.name for output in response.outputs] == (chosen or ["logits", "class"])
    assert len(response.raw_output_contents) == len(response.outputs)


def test_labels_of_any_language_come_back(server, fresh_id, make_sample):
    model_id = fresh_id()
    server.client.create_model(model_id, "features:3", ["кошка", "犬", "🐦"])
    sample = make_sample("a", "b")
    server.client.add_samples(model_id, [sample])
    server.client.create_release(model_id)
    rows = np.array([sample.features.values], np.float32)
    response = server.inference.ModelInfer(features_request(model_id, rows, raw=True))
    assert classes_of(response) == [["кошка", "犬", "🐦"][sample.label]]


def broken(**changes: Any) -> Callable[[Any], None]:
    def change(request: Any) -> None:
        for name, value in changes.items():
            target = request if name in {"model_name", "model_version"} else request.inputs[0]
            if name == "shape":
                del target.shape[:]
                target.shape.extend(value)
            else:
                setattr(target, name, value)

    return change


@pytest.mark.parametrize(
    ("change", "code", "reason", "field"),
    [
        (broken(model_name="nobody"), "NOT_FOUND", "MODEL_NOT_FOUND", ""),
        (broken(model_name=""), "NOT_FOUND", "MODEL_NOT_FOUND", ""),
        (broken(model_version="2"), "NOT_FOUND", "RELEASE_NOT_FOUND", "model_version"),
        (broken(model_version="latest"), "NOT_FOUND", "RELEASE_NOT_FOUND", "model_version"),
        (broken(name="pixels"), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs"),
        (broken(datatype="FP64"), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs"),
        (broken(shape=[6]), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs.shape"),
        (broken(shape=[-2, -3]), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs.shape"),
        (broken(shape=[3, 3]), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs.contents"),
        (broken(shape=[2**40, 2**40]), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs.contents"),
        (broken(shape=[3, 2]), "INVALID_ARGUMENT", "INVALID_FIELD", "features"),
        (lambda r: r.ClearField("inputs"), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs"),
        (lambda r: r.inputs.append(Input()), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs"),
        (
            lambda r: r.raw_input_contents.append(b"1234"),
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            "raw_input_contents",
        ),
        (
            lambda r: r.raw_input_contents.__setitem__(0, b"12345"),
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            "raw_input_contents",
        ),
        (
            lambda r: r.raw_input_contents.__setitem__(0, np.full(6, np.nan, "<f4").tobytes()),
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            "features",
        ),
        (
            lambda r: r.outputs.append(pb.ModelInferRequest.InferRequestedOutputTensor(name="x")),
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            "outputs",
        ),
        (
            lambda r: (
                r.inputs[0].CopyFrom(Input(name="image", datatype="BYTES", shape=[1])),
                r.raw_input_contents.__setitem__(0, b"\x02\0\0\0ab"),
            ),
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            "content",
        ),
        (
            lambda r: (
                r.inputs[0].CopyFrom(Input(name="image", datatype="BYTES", shape=[1])),
                r.raw_input_contents.__setitem__(0, b"\xff\xff\xff\xffab"),
            ),
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            "raw_input_contents",
        ),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused(
    server, filled, samples, refusal, change, code, reason, field
):
    request = features_request(filled(samples), np.ones((2, 3), np.float32), raw=True)
    server.inference.ModelInfer(request)  # it is the change that is refused
    change(request)
    told = refusal(server.inference.ModelInfer, request)
    assert (told.code.name, told.reason, told.field) == (code, reason, field)


def test_metadata_and_readiness_describe_the_model_served(server, filled, samples):
    model_id = filled(samples)
    metadata = server.inference.ModelMetadata(pb.ModelMetadataRequest(name=model_id))
    assert list(metadata.versions) == ["1"]
    described = [(t.name, t.datatype, list(t.shape)) for t in (*metadata.inputs, *metadata.outputs)]
    assert described == [
        ("features", "FP32", [-1, 3]),
        ("logits", "FP32", [-1, 3]),
        ("class", "BYTES", [-1]),
    ]
    ready = server.inference.ModelReady
    assert ready(pb.ModelReadyRequest(name=model_id)).ready
    assert ready(pb.ModelReadyRequest(name=model_id, version="1")).ready
    assert not ready(pb.ModelReadyRequest(name=model_id, version="2")).ready
    assert not ready(pb.ModelReadyRequest(name="nobody")).ready
    assert server.inference.ServerLive(pb.ServerLiveRequest()).live
    assert server.inference.ServerReady(pb.ServerReadyRequest()).ready
    assert server.inference.ServerMetadata(pb.ServerMetadataRequest()).name == "unlearn-server"


def encoded(mode: str) -> list[bytes]:
    """One picture in a Pillow mode, in each format that can hold it."""
    rng = np.random.default_rng(7)
    picture = Image.fromarray(rng.integers(0, 256, (60, 44, 3), np.uint8)).resize((88, 120))
    match mode:
        case "I;16":
            picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
        case "I":
            picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.int32) * 257)
        case "LA" | "RGBA":
            picture = picture.convert(mode)
            picture.putalpha(Image.linear_gradient("L").resize(picture.size))
        case _:
            picture = picture.convert(mode)
    assert picture.mode == mode
    files = []
    for kind in ("PNG", "JPEG"):
        buffer = io.BytesIO()
        try:
            picture.save(buffer, kind)
        except OSError:  # this format has no such mode
            continue
        files.append(buffer.getvalue())
    return files


def test_images_of_every_mode_are_predicted_from_the_weights_their_features_give(server, fresh_id):
    """Trained and asked in one model; the weights by hand from the core's features."""
    modes = ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "I"]
    images = [image for mode in modes for image in encoded(mode)]
    assert len(images) >= len(modes)
    model_id = fresh_id()
    model = server.client.create_model(model_id, "efficientnet-lite0", CLASSES)
    labels = [i % 3 for i in range(len(images))]
    server.client.add_samples(
        model_id,
        [
            Sample(sample_id=f"s{i}", subject_id=f"p{i}", image=image, label=label)
            for i, (image, label) in enumerate(zip(images, labels, strict=True))
        ],
    )
    server.client.create_release(model_id)

    # Ridge in its dual form, in float64: nothing of the engine is in it.
    features = cores.load("efficientnet-lite0").extract("", images).astype(np.float64)
    step = 2.0 ** (np.ceil(np.log2(model.user_weights.feature_bound)) - 14)
    bound = int(model.user_weights.feature_bound / step)
    psi = np.clip(np.rint(features / step), -bound, bound) * step
    kernel = psi @ psi.T
    targets = model.user_weights.label_scale * np.eye(3)[labels]
    ridge = model.user_weights.ridge * np.eye(len(images))
    expected = kernel @ np.linalg.solve(kernel + ridge, targets)

    for raw in (True, False):
        response = server.inference.ModelInfer(images_request(model_id, images, raw=raw))
        np.testing.assert_allclose(logits_of(response), expected, rtol=1e-4, atol=1e-4)
    metadata = server.inference.ModelMetadata(pb.ModelMetadataRequest(name=model_id))
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.inputs] == [
        ("image", "BYTES", [-1])
    ]
    alone = server.inference.ModelInfer(images_request(model_id, images[4:5], raw=True))
    assert (logits_of(alone)[0] == logits_of(response)[4]).all()  # neighbours change nothing


def test_health_is_told_of_the_server_and_of_each_service(server):
    stub = health_pb2_grpc.HealthStub(server.channel)
    for name in (
        "",
        "unlearn.v1.ModelService",
        "unlearn.v1.ErasureService",
        "unlearn.v1.AuditService",
        "inference.GRPCInferenceService",
    ):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as unknown:
        stub.Check(health_pb2.HealthCheckRequest(service="nobody.Service"))
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_describes_every_service(server):
    stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)

    def ask(**question: str) -> Any:
        request = reflection_pb2.ServerReflectionRequest(**question)
        [answer] = stub.ServerReflectionInfo(iter([request]))
        return answer

    listed = {s.name for s in ask(list_services="").list_services_response.service}
    assert {
        "unlearn.v1.ModelService",
        "unlearn.v1.ErasureService",
        "unlearn.v1.AuditService",
        "unlearn.v1.ValuationService",
        "inference.GRPCInferenceService",
        "grpc.health.v1.Health",
    } <= listed
    for name in listed:
        described = ask(file_containing_symbol=name).file_descriptor_response
        assert described.file_descriptor_proto, name


def test_features_of_a_message_and_of_a_prediction_are_rounded_alike(server, filled, truth_of):
    """A value on the very edge of two lattice points goes the same way everywhere."""
    step = 2.0**-11
    edges = np.array([[0.5 * step, 1.5 * step, -2.5 * step]], np.float32)
    model_id = filled(
        [Sample(sample_id="a", subject_id="b", features=Features(values=edges[0]), label=0)]
    )
    sample = Sample(sample_id="a", features=Features(values=edges[0]), label=0)
    truth = truth_of(server.client.get_model(model_id))
    response = server.inference.ModelInfer(features_request(model_id, edges, raw=True))
    np.testing.assert_allclose(logits_of(response), truth.logits([sample], edges), rtol=1e-6)


def test_of_many_calls_on_one_connection_all_are_answered(server) -> None:
    calls = [server.inference.ServerLive.future(pb.ServerLiveRequest()) for _ in range(1000)]
    assert Counter(call.code() for call in calls) == {grpc.StatusCode.OK: 1000}
