"""What cannot be done is refused in words that help, name nobody, and changes nothing."""

import io
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from PIL import Image

from inference import open_inference_grpc_pb2 as oip
from unlearn.v1 import audit_pb2, erasure_pb2, model_pb2, valuation_pb2
from unlearn.v1.erasure_pb2 import CreateErasureRequest, Erasure
from unlearn.v1.model_pb2 import (
    AddSamplesRequest,
    CreateModelRequest,
    Features,
    Model,
    Sample,
    UserWeights,
)
from unlearn_client import Selection, UnlearnError

CLASSES = ["cat", "dog", "bird"]
SAMPLE, SUBJECT = "sample-0f3e7a", "ada.lovelace@example.org"
VALUES = [0.7351962, -1.9264813, 2.4183957]
SECRETS = [SAMPLE, SUBJECT, "0.735196", "1.926481", "2.418395"]

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
EXISTS = grpc.StatusCode.ALREADY_EXISTS
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED


@pytest.fixture
def refused(refusal: Callable[..., Any]) -> Callable[..., Any]:
    """How a call was refused, which must be helpful and discreet."""

    def refused(method: Any, request: object) -> Any:
        refused = refusal(method, request)
        assert refused.reason
        assert not [secret for secret in SECRETS if secret in refused.everything]
        return refused

    return refused


@pytest.fixture
def model(filled: Callable[..., str], server: Any) -> Model:
    """A released model of one USER sample and one CORE sample."""
    own = [
        Sample(sample_id=SAMPLE, subject_id=SUBJECT, features=Features(values=VALUES), label=0),
        Sample(sample_id="core", features=Features(values=VALUES), label=1, retention=Sample.CORE),
    ]
    return server.client.get_model(filled(own))


def changed(message: Any, **fields: Any) -> Any:
    """A copy with other fields; None clears one."""
    copy = type(message).FromString(message.SerializeToString())
    for name, value in fields.items():
        copy.ClearField(name)
        if value is not None:
            copy.MergeFrom(type(message)(**{name: value}))
    return copy


# --- models


MODEL = Model(core="features:3", classes=CLASSES)


def weights(**fields: Any) -> Model:
    return changed(MODEL, user_weights=UserWeights(**fields))


def tangent(**fields: Any) -> Model:
    """Of a core that has a network."""
    user_weights = UserWeights(parametrization=UserWeights.TANGENT, **fields)
    return changed(MODEL, core="efficientnet-lite0", user_weights=user_weights)


@pytest.mark.parametrize(
    ("model_id", "described", "code", "reason", "field"),
    [
        ("Pets", MODEL, INVALID, "INVALID_FIELD", "model_id"),
        ("", MODEL, INVALID, "INVALID_FIELD", "model_id"),
        ("a" * 64, MODEL, INVALID, "INVALID_FIELD", "model_id"),
        ("pets-", MODEL, INVALID, "INVALID_FIELD", "model_id"),
        ("m\n", MODEL, INVALID, "INVALID_FIELD", "model_id"),
        ("m", changed(MODEL, core=None), INVALID, "INVALID_FIELD", "core"),
        ("m", changed(MODEL, core="resnet"), INVALID, "INVALID_FIELD", "core"),
        ("m", changed(MODEL, core="features:"), INVALID, "INVALID_FIELD", "core"),
        ("m", changed(MODEL, core="features:0"), INVALID, "INVALID_FIELD", "core"),
        ("m", changed(MODEL, core="features:8192"), INVALID, "INVALID_FIELD", "core"),
        ("m", changed(MODEL, core="../features"), INVALID, "INVALID_FIELD", "core"),
        ("m", changed(MODEL, core="efficientnet-lite0:x"), INVALID, "INVALID_FIELD", "core"),
        ("m", changed(MODEL, classes=None), INVALID, "INVALID_FIELD", "classes"),
        ("m", changed(MODEL, classes=["a", "a"]), INVALID, "INVALID_FIELD", "classes"),
        ("m", changed(MODEL, classes=["a", ""]), INVALID, "INVALID_FIELD", "classes"),
        ("m", changed(MODEL, minimum_cohort=-1), INVALID, "INVALID_FIELD", "model.minimum_cohort"),
        ("m", weights(feature_map="10:4x4"), INVALID, "INVALID_FIELD", "user_weights.feature_map"),
        ("m", weights(ridge=-1), INVALID, "INVALID_FIELD", "user_weights.ridge"),
        ("m", weights(ridge=float("nan")), INVALID, "INVALID_FIELD", "user_weights.ridge"),
        ("m", weights(ridge=1e300), INVALID, "INVALID_FIELD", "user_weights.ridge"),
        (
            "m",
            weights(label_scale=float("inf")),
            INVALID,
            "INVALID_FIELD",
            "user_weights.label_scale",
        ),
        ("m", weights(feature_bound=0.5), INVALID, "INVALID_FIELD", "user_weights.feature_bound"),
        ("m", weights(tangent_scope="12"), INVALID, "INVALID_FIELD", "user_weights.tangent_scope"),
        (
            "m",
            weights(parametrization=UserWeights.TANGENT),
            INVALID,
            "INVALID_FIELD",
            "user_weights.parametrization",
        ),
        ("m", weights(noise_scale=-1), INVALID, "INVALID_FIELD", "user_weights.noise_scale"),
        (
            "m",
            weights(noise_scale=float("nan")),
            INVALID,
            "INVALID_FIELD",
            "user_weights.noise_scale",
        ),
        ("m", weights(parametrization=7), INVALID, "INVALID_FIELD", "user_weights.parametrization"),
        ("m", weights(noise=7), INVALID, "INVALID_FIELD", "user_weights.noise"),
        ("m", tangent(tangent_scope="last:17"), INVALID, "INVALID_FIELD", "tangent_scope"),
        ("m", tangent(tangent_scope="last:0"), INVALID, "INVALID_FIELD", "tangent_scope"),
        ("m", tangent(feature_map="10:3x3"), INVALID, "INVALID_FIELD", "feature_map"),
        ("m", tangent(ridge=-1), INVALID, "INVALID_FIELD", "user_weights.ridge"),
        ("m", tangent(noise_scale=-1), INVALID, "INVALID_FIELD", "user_weights.noise_scale"),
    ],
)
def test_a_model_that_cannot_be_is_not_made(
    server, refused, model_id, described, code, reason, field
):
    before = list(server.client.list_models())
    told = refused(
        server.models.CreateModel, CreateModelRequest(model_id=model_id, model=described)
    )
    assert (told.code, told.reason) == (code, reason)
    assert told.field in {field, f"user_weights.{field}"}
    assert told.field.rpartition(".")[2] in told.message
    assert list(server.client.list_models()) == before


def test_an_unknown_feature_map_of_the_image_core_is_refused(server, refused):
    described = Model(
        core="efficientnet-lite0", classes=CLASSES, user_weights=UserWeights(feature_map="99:1x1")
    )
    told = refused(server.models.CreateModel, CreateModelRequest(model_id="m", model=described))
    assert (told.code, told.reason) == (INVALID, "INVALID_FIELD")
    assert "feature_map" in told.field


# --- names


def names_table() -> list[Any]:
    table = []
    for name in ("", "pets", "models/", "models/Pets", "models/a/b", "model/pets", "models/pets\n"):
        table += [
            ("models", "GetModel", model_pb2.GetModelRequest(name=name), "name"),
            ("models", "DeleteModel", model_pb2.DeleteModelRequest(name=name), "name"),
            (
                "models",
                "CreateRelease",
                model_pb2.CreateReleaseRequest(model=name, request_id=str(uuid4())),
                "model",
            ),
            ("audits", "AuditModel", audit_pb2.AuditModelRequest(model=name), "model"),
            (
                "erasures",
                "CreateErasure",
                CreateErasureRequest(
                    request_id=str(uuid4()),
                    erasure=Erasure(selection=Selection.subjects([SUBJECT]), models=[name]),
                ),
                "erasure.models",
            ),
        ]
    for name in ("models/m", "models/m/releases/", "models/m/releases/0", "models/m/releases/1/2"):
        table.append(("models", "GetRelease", model_pb2.GetReleaseRequest(name=name), "name"))
    for name in ("", "erasures/", "erasures/\0", "erasure/x", str(uuid4())):
        table += [
            ("erasures", "GetErasure", erasure_pb2.GetErasureRequest(name=name), "name"),
            ("erasures", "WatchErasure", erasure_pb2.WatchErasureRequest(name=name), "name"),
            ("erasures", "CancelErasure", erasure_pb2.CancelErasureRequest(name=name), "name"),
            ("erasures", "RetryErasure", erasure_pb2.RetryErasureRequest(name=name), "name"),
            ("erasures", "ExtendErasure", changed(EXTENSION, name=name), "name"),
            ("erasures", "RefuseErasure", changed(REFUSAL, name=name), "name"),
        ]
    for name in ("", "holds/", "holds/\0", "hold/x", str(uuid4())):
        table += [
            ("erasures", "GetHold", erasure_pb2.GetHoldRequest(name=name), "name"),
            ("erasures", "LiftHold", erasure_pb2.LiftHoldRequest(name=name), "name"),
        ]
    return table


LINE = 500
EXTENSION = erasure_pb2.ExtendErasureRequest(
    name=f"erasures/{uuid4()}", due_time=Timestamp(seconds=2_000_000_000), reason="many at once"
)
REFUSAL = erasure_pb2.RefuseErasureRequest(
    name=f"erasures/{uuid4()}", ground="gdpr-17-3-b", reason="tax law"
)
HOLD = erasure_pb2.PlaceHoldRequest(subject_id=SUBJECT, reason="a lawsuit")


@pytest.mark.parametrize(
    ("method", "request_message", "field"),
    [
        ("PlaceHold", changed(HOLD, subject_id=None), "subject_id"),
        *(
            (method, changed(message, reason=reason), "reason")
            for method, message in (
                ("PlaceHold", HOLD),
                ("ExtendErasure", EXTENSION),
                ("RefuseErasure", REFUSAL),
            )
            for reason in (None, " ", "two\nlines", "\x1b[2K", "a" * (LINE + 1))
        ),
        *(
            ("RefuseErasure", changed(REFUSAL, ground=ground), "ground")
            for ground in (None, "GDPR", "17", "gdpr--17", "gdpr-", "gdpr 17", "ä", "a" * 65)
        ),
        ("ExtendErasure", changed(EXTENSION, due_time=None), "due_time"),
        ("ExtendErasure", changed(EXTENSION, due_time=Timestamp(nanos=-1)), "due_time"),
    ],
)
def test_holds_extensions_and_refusals_that_make_no_sense(
    server, refused, method, request_message, field
):
    told = refused(getattr(server.erasures, method), request_message)
    assert (told.code, told.reason, told.field) == (INVALID, "INVALID_FIELD", field)
    assert not list(server.client.list_holds())


def test_malformed_names_are_refused(server, refused):
    for service, method, request, field in names_table():
        told = refused(getattr(getattr(server, service), method), request)
        assert (told.code, told.reason, told.field) == (INVALID, "INVALID_FIELD", field), request


def test_what_there_is_not_is_not_found(server, refused, model):
    nobody = f"erasures/{uuid4()}"
    nothing = "models/no-such-model"
    for method, request, reason in (
        (server.models.GetModel, model_pb2.GetModelRequest(name=nothing), "MODEL"),
        (server.models.DeleteModel, model_pb2.DeleteModelRequest(name=nothing), "MODEL"),
        (
            server.models.CreateRelease,
            model_pb2.CreateReleaseRequest(model=nothing, request_id=str(uuid4())),
            "MODEL",
        ),
        (
            server.models.GetRelease,
            model_pb2.GetReleaseRequest(name=f"{nothing}/releases/-"),
            "MODEL",
        ),
        (
            server.models.GetRelease,
            model_pb2.GetReleaseRequest(name=f"{model.name}/releases/77"),
            "RELEASE",
        ),
        (server.audits.AuditModel, audit_pb2.AuditModelRequest(model=nothing), "MODEL"),
        (server.erasures.GetErasure, erasure_pb2.GetErasureRequest(name=nobody), "ERASURE"),
        (server.erasures.WatchErasure, erasure_pb2.WatchErasureRequest(name=nobody), "ERASURE"),
        (server.erasures.CancelErasure, erasure_pb2.CancelErasureRequest(name=nobody), "ERASURE"),
        (server.erasures.RetryErasure, erasure_pb2.RetryErasureRequest(name=nobody), "ERASURE"),
        (server.erasures.ExtendErasure, changed(EXTENSION, name=nobody), "ERASURE"),
        (server.erasures.RefuseErasure, changed(REFUSAL, name=nobody), "ERASURE"),
        (server.erasures.GetHold, erasure_pb2.GetHoldRequest(name="holds/x"), "HOLD"),
        (server.erasures.LiftHold, erasure_pb2.LiftHoldRequest(name="holds/x"), "HOLD"),
    ):
        told = refused(method, request)
        assert (told.code, told.reason) == (NOT_FOUND, f"{reason}_NOT_FOUND"), request


def test_pages_salts_and_ids_that_are_none_are_refused(server, refused, model):
    token = "bm90LWEtdG9rZW4="  # noqa: S105 # base64 of what is no token
    erasure = Erasure(selection=Selection.subjects([SUBJECT]))
    for method, request, reason, field in (
        *(
            (
                server.models.ListModels,
                model_pb2.ListModelsRequest(page_token=t),
                "PAGE_TOKEN_INVALID",
                "page_token",
            )
            for t in (token, "?", "é", "bW9kZWxzOg==", "bW9kZWxzOi0x")
        ),
        (
            server.models.ListModels,
            model_pb2.ListModelsRequest(page_size=-1),
            "INVALID_FIELD",
            "page_size",
        ),
        (
            server.erasures.ListErasures,
            erasure_pb2.ListErasuresRequest(page_token=token),
            "PAGE_TOKEN_INVALID",
            "page_token",
        ),
        (
            server.erasures.ListErasures,
            erasure_pb2.ListErasuresRequest(states=[99]),
            "INVALID_FIELD",
            "states",
        ),
        (
            server.audits.AuditModel,
            audit_pb2.AuditModelRequest(model=model.name, salt=b"short"),
            "INVALID_FIELD",
            "salt",
        ),
        (
            server.erasures.CreateErasure,
            CreateErasureRequest(
                request_id=str(uuid4()), erasure=erasure, commitment_salt=b"s" * 31
            ),
            "INVALID_FIELD",
            "commitment_salt",
        ),
        *(
            (
                server.erasures.CreateErasure,
                CreateErasureRequest(request_id=own, erasure=erasure),
                "REQUEST_ID_MALFORMED",
                "request_id",
            )
            for own in ("", "x", "00000000-0000-1000-8000-000000000000", uuid4().hex, SUBJECT)
        ),
        (
            server.models.CreateRelease,
            model_pb2.CreateReleaseRequest(model=model.name, request_id="1"),
            "REQUEST_ID_MALFORMED",
            "request_id",
        ),
    ):
        told = refused(method, request)
        assert (told.code, told.reason, told.field) == (INVALID, reason, field), request
        assert field in told.message
    assert server.client.get_model(model.name) == model


# --- samples


def image_bytes(kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


GOOD = Sample(
    sample_id="another-sample", subject_id=SUBJECT, features=Features(values=VALUES), label=0
)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (changed(GOOD, label=None), "label"),
        (changed(GOOD, label=3), "label"),
        (changed(GOOD, label=-1), "label"),
        (changed(GOOD, sample_id=None), "sample_id"),
        (changed(GOOD, sample_id="x" * 257), "sample_id"),
        (changed(GOOD, subject_id=None), "subject_id"),
        (changed(GOOD, subject_id="x" * 257), "subject_id"),
        (changed(GOOD, retention=7), "retention"),
        (changed(GOOD, features=None), "content"),
        (changed(GOOD, text="a poem"), "content"),
        (changed(GOOD, image=image_bytes()), "content"),
        (changed(GOOD, features=Features()), "features"),
        (changed(GOOD, features=Features(values=VALUES[:2])), "features"),
        (changed(GOOD, features=Features(values=[*VALUES, 1.0])), "features"),
        (changed(GOOD, features=Features(values=[*VALUES[:2], float("nan")])), "features"),
        (changed(GOOD, features=Features(values=[*VALUES[:2], float("inf")])), "features"),
        (changed(GOOD, features=Features(values=[*VALUES[:2], float("-inf")])), "features"),
    ],
)
def test_a_bad_sample_is_named_by_its_place_and_its_message_leaves_nothing(
    server, refused, model, bad, field
):
    fine = changed(GOOD, sample_id="fine")
    messages = [
        AddSamplesRequest(model=model.name, samples=[fine]),
        AddSamplesRequest(samples=[changed(GOOD, sample_id="lost"), fine, bad]),
        AddSamplesRequest(samples=[changed(GOOD, sample_id="never-read")]),
    ]
    told = refused(server.models.AddSamples, iter(messages))
    assert (told.code, told.reason) == (INVALID, "INVALID_FIELD")
    assert told.field.endswith(field)
    assert field in told.message
    assert (told.metadata["message"], told.metadata["sample"]) == ("1", "2")
    assert server.client.get_model(model.name).sample_count == 3  # the first message's alone
    assert server.client.audit_model(model.name).consistent


@pytest.mark.parametrize(
    "image",
    [
        b"",
        b"no image at all",
        image_bytes()[:-30],
        image_bytes()[:20],
        image_bytes("JPEG")[:300],
        image_bytes("GIF"),
        image_bytes("BMP"),
    ],
    ids=["empty", "text", "truncated png", "png head", "truncated jpeg", "gif", "bmp"],
)
def test_what_is_no_image_is_refused(server, refused, image):
    if "images" not in {m.name.removeprefix("models/") for m in server.client.list_models()}:
        server.client.create_model("images", "efficientnet-lite0", CLASSES)
    before = server.client.get_model("images")
    bad = Sample(sample_id=SAMPLE, subject_id=SUBJECT, image=image, label=0)
    request = AddSamplesRequest(model="models/images", samples=[bad])
    told = refused(server.models.AddSamples, iter([request]))
    assert (told.code, told.reason) == (INVALID, "INVALID_FIELD")
    assert (told.metadata["message"], told.metadata["sample"]) == ("0", "0")
    assert "image" in told.message
    assert server.client.get_model("images") == before

    tensor = oip.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    tensor.contents.bytes_contents.append(image)
    told = refused(
        server.inference.ModelInfer, oip.ModelInferRequest(model_name="images", inputs=[tensor])
    )
    assert (told.code, told.reason) == (INVALID, "INVALID_FIELD")


@pytest.mark.parametrize(
    "other",
    [
        {"label": 1},
        {"subject_id": "somebody"},
        {"features": Features(values=[1, 2, 3])},
        {"retention": Sample.CORE},
    ],
)
def test_a_sample_id_with_other_content_is_refused_within_a_message_and_across(
    server, refused, model, other
):
    held = changed(GOOD, sample_id=SAMPLE)
    twin = changed(held, **other)
    told = refused(
        server.models.AddSamples,
        iter([AddSamplesRequest(model=model.name, samples=[GOOD, twin])]),
    )
    assert (told.code, told.reason) == (EXISTS, "SAMPLE_EXISTS")
    assert (told.metadata["message"], told.metadata["sample"]) == ("0", "1")
    both = [changed(held, sample_id="new"), changed(twin, sample_id="new")]
    told = refused(
        server.models.AddSamples, iter([AddSamplesRequest(model=model.name, samples=both)])
    )
    assert (told.code, told.reason) == (EXISTS, "SAMPLE_EXISTS")
    assert told.metadata["sample"] == "1"
    assert server.client.get_model(model.name) == model


def test_samples_for_no_model_are_refused(server, refused):
    for name, code, reason in (
        ("", INVALID, "INVALID_FIELD"),
        ("models/no-such-model", NOT_FOUND, "MODEL_NOT_FOUND"),
    ):
        told = refused(
            server.models.AddSamples, iter([AddSamplesRequest(model=name, samples=[GOOD])])
        )
        assert (told.code, told.reason) == (code, reason)
        assert "model" in told.message
        assert told.metadata["message"] == "0"


def test_more_than_the_ridge_allows_is_refused_with_the_number_that_fits(server, refused, fresh_id):
    """The ridge must be at least 2^-40 of the Gram matrix, whose trace is known here."""
    name = f"models/{fresh_id()}"
    step = 2.0**-11
    smallest = UserWeights(ridge=step**2)  # L = 3
    server.client.create_model(name, "features:3", CLASSES, user_weights=smallest)
    rows = [
        Sample(
            sample_id=f"{SAMPLE}-{i}",
            subject_id=SUBJECT,
            features=Features(values=[8.0, 8.0, 8.0]),
            label=0,
        )
        for i in range(3000)
    ]
    trace = 3 * (8 / step) ** 2 + (1 / step) ** 2
    fits = int((3 * 2**40 - 3) // (2 * trace))
    assert 1000 < fits < 2500
    server.client.add_samples(name, rows[:1000])
    before = server.client.get_model(name)
    told = refused(
        server.models.AddSamples, iter([AddSamplesRequest(model=name, samples=rows[1000:])])
    )
    assert (told.code, told.reason) == (EXHAUSTED, "CAPACITY_EXCEEDED")
    assert told.metadata["fits"] == str(fits - 1000)
    assert "ridge" in told.message
    assert server.client.get_model(name) == before
    server.client.add_samples(name, rows[1000:fits])
    server.client.create_release(name)
    assert server.client.audit_model(name).consistent


def test_a_message_over_16_mib_is_refused(server, refused, model):
    heavy = changed(GOOD, image=bytes(16 * 2**20))
    told = refused(
        server.models.AddSamples, iter([AddSamplesRequest(model=model.name, samples=[heavy])])
    )
    assert (told.code, told.reason) == (EXHAUSTED, "MESSAGE_TOO_LARGE")
    assert server.client.get_model(model.name) == model


# --- erasures


def erasure(selection: Any = None, **fields: Any) -> Erasure:
    return Erasure(selection=selection, **fields)


def tomorrow() -> Erasure:
    request = erasure(Selection.subjects([SUBJECT]))
    request.receive_time.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    return request


def no_time() -> Erasure:
    request = erasure(Selection.subjects([SUBJECT]))
    request.receive_time.nanos = -5
    return request


@pytest.mark.parametrize(
    ("asked", "in_models", "code", "reason", "field"),
    [
        (erasure(), True, INVALID, "EMPTY_SELECTION", "erasure.selection"),
        (
            erasure(erasure_pb2.Selection(all_user_data=False)),
            True,
            INVALID,
            "EMPTY_SELECTION",
            "erasure.selection",
        ),
        (erasure(Selection.subjects([])), True, INVALID, "EMPTY_SELECTION", "erasure.selection"),
        (
            erasure(Selection.samples([SAMPLE, ""])),
            True,
            INVALID,
            "EMPTY_SELECTION",
            "erasure.selection",
        ),
        (
            erasure(Selection.subject_hashes([SUBJECT])),
            True,
            INVALID,
            "INVALID_FIELD",
            "erasure.selection.subject_hashes",
        ),
        (
            erasure(Selection.samples([f"s{i}" for i in range(10_001)])),
            True,
            INVALID,
            "INVALID_FIELD",
            "erasure.selection",
        ),
        (erasure(Selection.all_user_data()), False, INVALID, "INVALID_FIELD", "erasure.models"),
        (
            erasure(Selection.samples([SAMPLE, "core"])),
            True,
            PRECONDITION,
            "CORE_SAMPLE",
            "erasure.selection",
        ),
        (
            erasure(Selection.subjects([SUBJECT]), method=Erasure.NEWTON),
            True,
            PRECONDITION,
            "METHOD_NOT_APPLICABLE",
            "erasure.method",
        ),
        (
            erasure(Selection.subjects([SUBJECT]), method=Erasure.ZERO),
            True,
            PRECONDITION,
            "METHOD_NOT_APPLICABLE",
            "erasure.method",
        ),
        (
            erasure(Selection.subjects([SUBJECT]), method=42),
            True,
            INVALID,
            "INVALID_FIELD",
            "erasure.method",
        ),
        (
            erasure(Selection.subjects([SUBJECT]), regulation="x" * 65),
            True,
            INVALID,
            "INVALID_FIELD",
            "erasure.regulation",
        ),
        (tomorrow(), True, INVALID, "INVALID_FIELD", "erasure.receive_time"),
        (no_time(), True, INVALID, "INVALID_FIELD", "erasure.receive_time"),
    ],
)
def test_an_erasure_that_cannot_be_is_not_accepted(
    server, refused, model, asked, in_models, code, reason, field
):
    before = list(server.client.list_erasures())
    for validate_only in (True, False):
        request = CreateErasureRequest(
            request_id=str(uuid4()),
            erasure=changed(asked, models=[model.name] if in_models else None),
            validate_only=validate_only,
        )
        told = refused(server.erasures.CreateErasure, request)
        assert (told.code, told.reason, told.field) == (code, reason, field)
        assert field in told.message
    assert list(server.client.list_erasures()) == before
    assert server.client.get_model(model.name) == model


def test_an_erasure_in_several_models_one_of_which_there_is_not_is_not_accepted(
    server, refused, model
):
    request = CreateErasureRequest(
        request_id=str(uuid4()),
        erasure=erasure(Selection.subjects([SUBJECT]), models=[model.name, "models/no-such-model"]),
    )
    told = refused(server.erasures.CreateErasure, request)
    assert (told.code, told.reason) == (NOT_FOUND, "MODEL_NOT_FOUND")
    assert server.client.get_model(model.name) == model


def test_a_subject_that_nobody_holds_is_done_at_once_and_the_answer_says_so(server, model):
    for selection in (Selection.subjects([str(uuid4())]), Selection.samples([str(uuid4())])):
        done = server.client.create_erasure(selection)
        assert done.state == Erasure.SUCCEEDED
        assert done.HasField("complete_time")
        assert not done.outcomes
        assert "no sample matched" in done.state_reason
    assert server.client.get_model(model.name) == model


# --- what is served


_ANSWER_THE_EMPTY_REQUEST = {
    *("AddSamples", "CreateModel", "ListModels", "ListErasures", "ListHolds"),
    *("GetCheckpoint", "ListCertificates"),
}


def test_every_method_of_the_contract_is_served(server, refusal):
    for service, pb in {
        "models": model_pb2,
        "erasures": erasure_pb2,
        "audits": audit_pb2,
        "valuation": valuation_pb2,
    }.items():
        [descriptor] = pb.DESCRIPTOR.services_by_name.values()
        for method in descriptor.methods:
            if method.name in _ANSWER_THE_EMPTY_REQUEST:
                continue
            message = getattr(pb, method.input_type.name)()
            told = refusal(getattr(getattr(server, service), method.name), message)
            assert told.code is not UNIMPLEMENTED, method.name


def test_a_method_outside_the_contract_is_refused_with_a_reason(server, refused):
    call = server.channel.unary_unary("/unlearn.v1.ModelService/Nonsense", bytes, bytes)
    told = refused(call, b"")
    assert (told.code, told.reason) == (UNIMPLEMENTED, "METHOD_NOT_IMPLEMENTED")


# --- a full disk


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MiB of our own, where the kernel lets us mount one."""
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    disk = tmp_path / "disk"
    disk.mkdir()
    # exec "$@": the server takes the shell's place, so that signals reach it.
    script = f'mount -t tmpfs -o size=2048k,mode=700 tmpfs {disk} && exec "$@"'
    possible = shutil.which("unshare") and not subprocess.call(
        [*prefix, script, "sh", "true"], stderr=subprocess.DEVNULL
    )
    if not possible:
        pytest.skip("no user namespaces here: a small disk cannot be mounted without root")
    return disk / "data", [*prefix, script, "sh"]


def ask_for(subject: str) -> CreateErasureRequest:
    return CreateErasureRequest(
        request_id=str(uuid4()), erasure=erasure(Selection.subjects([subject]))
    )


def fill(server: Any, make_sample: Any, count: int = 200, d: int = 500) -> UnlearnError:
    """Adds samples until the disk is full."""
    for batch in range(100):
        try:
            server.client.add_samples(
                "m", [make_sample(f"{batch}-{i}", f"p{batch}", d=d) for i in range(count)]
            )
        except UnlearnError as error:
            return error
    raise AssertionError("the disk is not full yet")


def test_on_a_full_disk_samples_are_refused_and_nothing_is_lost(start, small_disk, make_sample):
    data_dir, wrap = small_disk
    with start(data_dir, wrap).asked() as server:
        server.client.create_model("m", "features:500", CLASSES)
        server.client.add_samples("m", [make_sample("first", "ada", d=500)])
        server.client.create_release("m")
        error = fill(server, make_sample)
        assert (error.code, error.reason) == (EXHAUSTED, "STORAGE_FULL")
        model = server.client.get_model("m")
        assert model.sample_count % 200 == 1  # whole messages
        assert server.client.audit_model("m").consistent


def test_what_is_erased_on_a_full_disk_is_erased_once_there_is_room(start, small_disk, make_sample):
    """The request may be refused, and then holds nothing; or accepted, and then is done."""
    data_dir, wrap = small_disk
    ballast = f'dd if=/dev/zero of={data_dir.parent}/ballast bs=64k count=12 2>/dev/null; exec "$@"'
    process = start(data_dir, [*wrap, "sh", "-c", ballast, "sh"])
    with process.asked() as server:
        server.client.create_model("m", "features:500", CLASSES)
        fill(server, make_sample, count=5)
        before = server.client.get_model("m").sample_count
        assert before >= 20
        requests = [ask_for(f"p{batch}") for batch in range(3)]
        answers = [server.erasures.CreateErasure.future(r, timeout=60) for r in requests]
        refused = [answer for answer in answers if answer.exception()]
        accepted = [answer.result() for answer in answers if not answer.exception()]
        reasons = {UnlearnError.from_rpc_error(answer.exception()).reason for answer in refused}
        assert reasons <= {"STORAGE_FULL"}
        # Its root is ours to look into: room comes back from outside, as an operator makes it.
        os.unlink(f"/proc/{process.pid}/root{data_dir.parent}/ballast")
        accepted.append(server.erasures.CreateErasure(ask_for("p3")))
        done = [server.client.wait_for_erasure(e.name) for e in accepted]
        assert {e.state for e in done} == {Erasure.SUCCEEDED}
        assert server.client.get_model("m").sample_count == before - 5 * len(done)
        assert server.client.audit_model("m").consistent
