"""A model of texts, from a manifest to an erasure, on a real sentence encoder."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from click.testing import CliRunner

from inference import open_inference_grpc_pb2 as pb
from tests.e2e.conftest import Server
from unlearn.v1.model_pb2 import AddSamplesRequest, Sample
from unlearn_client import Selection
from unlearn_client.cli import main
from unlearning import cores

CLASSES = ["animals", "music"]
TEXTS = [
    ("ann", "animals", "A horse drank from the river."),
    ("ann", "music", "She practised the violin all evening."),
    ("bob", "animals", "Two foxes crossed the road."),
    ("bob", "music", "The choir sang a chorale by Bach."),
    ("eve", "animals", "Our cat sleeps on the radiator, always."),
    ("eve", "music", "He tuned the old piano; it took hours."),
]
NEW = ["A dog barked at the sheep.", "The trumpet came in too early."]

Input = pb.ModelInferRequest.InferInputTensor


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sample_id", "subject_id", "label", "text"])
        rows.writerows([f"s{i}", who, what, text] for i, (who, what, text) in enumerate(TEXTS))
    return path


@pytest.fixture(scope="module")
def model(server: Server, manifest: Path) -> str:
    """A released model, filled by the command line."""
    server.client.create_model("texts", "all-minilm-l6-v2", CLASSES)
    command = ["--address", f"localhost:{server.port}", "samples", "add", "texts", str(manifest)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    server.client.create_release("texts")
    return "texts"


def request(model: str, texts: list[bytes], *, raw: bool) -> Any:
    asked = pb.ModelInferRequest(
        model_name=model, inputs=[Input(name="text", datatype="BYTES", shape=[len(texts)])]
    )
    if raw:
        elements = (len(text).to_bytes(4, "little") + text for text in texts)
        asked.raw_input_contents.append(b"".join(elements))
    else:
        asked.inputs[0].contents.bytes_contents.extend(texts)
    return asked


def logits_by_hand(server: Server, model: str, texts: list[str]) -> Any:
    """Ridge in its dual form, in float64: nothing of the engine is in it."""
    weights = server.client.get_model(model).user_weights
    step = 2.0 ** (np.ceil(np.log2(weights.feature_bound)) - 14)
    core = cores.load("all-minilm-l6-v2")
    train, asked = (
        np.rint(core.extract("", some).astype(np.float64) / step) * step
        for some in ([text for _, _, text in TEXTS], texts)
    )
    targets = weights.label_scale * np.eye(2)[[CLASSES.index(label) for _, label, _ in TEXTS]]
    kernel = train @ train.T + weights.ridge * np.eye(len(train))
    return asked @ train.T @ np.linalg.solve(kernel, targets)


def test_predictions_are_those_worked_out_by_hand(server: Server, model: str) -> None:
    expected = logits_by_hand(server, model, NEW)
    for raw in (True, False):
        asked = request(model, [text.encode() for text in NEW], raw=raw)
        response = server.inference.ModelInfer(asked)
        logits = np.frombuffer(response.raw_output_contents[0], "<f4").reshape(2, 2)
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    prediction = server.client.predict(model, texts=NEW)
    np.testing.assert_array_equal(prediction.logits, logits)
    assert prediction.labels == CLASSES


def test_the_command_line_predicts_texts_of_a_table(
    server: Server, model: str, tmp_path: Path
) -> None:
    table = tmp_path / "new.csv"
    table.write_text("text\n" + "\n".join(NEW) + "\n")
    command = ["--address", f"localhost:{server.port}", "predict", model, str(table)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert result.output.index("animals") < result.output.index("music")


def test_the_model_says_that_it_takes_texts(server: Server, model: str) -> None:
    told = server.inference.ModelMetadata(pb.ModelMetadataRequest(name=model))
    assert [(each.name, each.datatype, list(each.shape)) for each in told.inputs] == [
        ("text", "BYTES", [-1])
    ]


def test_texts_are_nowhere_in_the_data_directory(server: Server, model: str) -> None:
    assert server.client.get_model(model).sample_count
    for file in server.data_dir.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(text.encode() in content for _, _, text in TEXTS)


def test_who_is_erased_leaves_the_model_that_never_saw_their_texts(server: Server) -> None:
    samples = [
        Sample(sample_id=f"s{i}", subject_id=who, label=CLASSES.index(label), text=text)
        for i, (who, label, text) in enumerate(TEXTS)
    ]
    never = [sample for sample in samples if sample.subject_id != "ann"]
    for name, held in (("without", samples), ("never", never)):
        server.client.create_model(name, "all-minilm-l6-v2", CLASSES)
        server.client.add_samples(name, held)
        server.client.create_release(name)
    erasure = server.client.create_erasure(
        Selection.subjects(["ann"]), models=["without"], regulation="gdpr"
    )
    server.client.wait_for_erasure(erasure.name)
    after, truth = (server.client.predict(name, texts=NEW).logits for name in ("without", "never"))
    np.testing.assert_array_equal(after, truth)


@pytest.mark.parametrize(
    ("content", "field", "problem"),
    [
        ({"text": ""}, "text", "is empty"),
        ({"text": " \n\t"}, "text", "is empty"),
        ({"text": "word " * 300}, "text", "has 302 tokens; send at most 256"),
        ({"image": b"x"}, "content", "send text"),
    ],
)
def test_bad_samples_are_refused_by_their_place(
    server: Server,
    model: str,
    refusal: Callable[..., Any],
    content: dict[str, Any],
    field: str,
    problem: str,
) -> None:
    before = server.client.get_model(model)
    good = Sample(sample_id="good", subject_id="p", label=0, text="A good one.")
    bad = Sample(sample_id="bad", subject_id="p", label=0, **content)
    message = AddSamplesRequest(model=f"models/{model}", samples=[good, bad])
    told = refusal(server.models.AddSamples, iter([message]))
    assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert (told.field, told.metadata["sample"]) == (field, "1")
    assert problem in told.message
    assert server.client.get_model(model) == before


def test_a_text_that_is_not_utf8_is_refused(
    server: Server, model: str, refusal: Callable[..., Any]
) -> None:
    told = refusal(server.inference.ModelInfer, request(model, [b"a", b"\xff"], raw=True))
    assert (told.field, told.metadata["sample"]) == ("text", "1")
    assert "UTF-8" in told.message


def test_texts_sent_to_a_core_of_images_are_refused(
    server: Server, refusal: Callable[..., Any]
) -> None:
    server.client.create_model("images", "efficientnet-lite0", CLASSES)
    told = refusal(server.inference.ModelInfer, request("images", [b"a"], raw=True))
    assert told.field == "content"
    assert "send image" in told.message
