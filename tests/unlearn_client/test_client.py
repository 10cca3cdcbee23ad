"""Each call reaches the server as the contract says, with a deadline, and retries only if safe."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import grpc
import pytest

from unlearn.v1.erasure_pb2 import Erasure
from unlearn.v1.model_pb2 import Sample, UserWeights
from unlearn_client import Client, Selection, UnlearnClientError, UnlearnError
from unlearn_client.connection import SAFE_METHODS

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def test_create_model_sends_all_it_is_given(client, book):
    weights = UserWeights(noise_scale=0.5)
    created = client.create_model(
        "pets", "lite0", ["cat", "dog"], user_weights=weights, minimum_cohort=3
    )
    sent = book.requests["CreateModel"][0]
    assert sent.model_id == "pets"
    assert created.name == "models/pets"
    assert (sent.model.core, list(sent.model.classes)) == ("lite0", ["cat", "dog"])
    assert sent.model.user_weights == weights
    assert sent.model.minimum_cohort == 3


@pytest.mark.parametrize("model", ["pets", "models/pets"])
def test_models_go_by_id_or_name(client, book, model):
    client.get_model(model)
    client.delete_model(model, "v1")
    client.get_release(model)
    assert book.requests["GetModel"][0].name == "models/pets"
    assert book.requests["DeleteModel"][0].name == "models/pets"
    assert book.requests["DeleteModel"][0].etag == "v1"
    assert book.requests["GetRelease"][0].name == "models/pets/releases/-"


def test_a_release_goes_by_its_name(client):
    assert client.get_release("models/pets/releases/3").name == "models/pets/releases/3"


@pytest.mark.parametrize("erasure", ["x", "erasures/x"])
@pytest.mark.parametrize("call", ["get_erasure", "cancel_erasure", "retry_erasure"])
def test_erasures_go_by_id_or_name(client, erasure, call):
    assert getattr(client, call)(erasure).name == "erasures/x"


def test_an_erasure_is_extended_and_refused(client, book):
    due = datetime(2030, 4, 28, tzinfo=timezone(timedelta(hours=2)))
    assert client.extend_erasure("x", due, "many").due_time.ToDatetime(UTC) == due
    assert book.requests["ExtendErasure"][0].name == "erasures/x"
    assert client.refuse_erasure("x", "gdpr-17-3-b", "tax law").state == Erasure.REFUSED
    sent = book.requests["RefuseErasure"][0]
    assert (sent.name, sent.ground, sent.reason) == ("erasures/x", "gdpr-17-3-b", "tax law")


def test_holds(client, book):
    assert client.place_hold("alice", "a lawsuit").reason == "a lawsuit"
    assert book.requests["PlaceHold"][0].subject_id == "alice"
    assert client.get_hold("h").name == client.lift_hold("holds/h").name == "holds/h"
    assert [hold.name for hold in client.list_holds()] == ["holds/1", "holds/2"]


def test_list_models_walks_all_pages(client, book):
    assert [model.name for model in client.list_models()] == ["models/a", "models/b"]
    assert [request.page_token for request in book.requests["ListModels"]] == ["", "more"]


def test_list_erasures_filters_by_state(client, book):
    assert len(list(client.list_erasures([Erasure.PENDING]))) == 1
    assert list(book.requests["ListErasures"][0].states) == [Erasure.PENDING]


def test_an_erasure_has_a_fresh_request_id_and_salt_each_time(client, book):
    for _ in range(2):
        client.create_erasure(Selection.subjects(["s"]), ["pets"], Erasure.EXACT, "gdpr")
    first, second = book.requests["CreateErasure"]
    assert UUID(first.request_id).version == 4
    assert first.request_id != second.request_id
    assert len(first.commitment_salt) == 32
    assert first.commitment_salt != second.commitment_salt
    assert list(first.erasure.models) == ["models/pets"]
    assert first.erasure.method == Erasure.EXACT
    assert first.erasure.regulation == "gdpr"
    assert not first.validate_only


def test_an_erasure_may_be_repeated_under_its_own_request_id(client, book):
    erasure = client.create_erasure(
        Selection.all_user_data(), ["pets"], request_id="r", commitment_salt=b"s" * 32
    )
    sent = book.requests["CreateErasure"][0]
    assert (erasure.name, sent.commitment_salt) == ("erasures/r", b"s" * 32)


def test_selections():
    assert list(Selection.subjects(["a", "b"]).subjects.ids) == ["a", "b"]
    assert list(Selection.samples(["a"]).samples.ids) == ["a"]
    assert list(Selection.subject_hashes(["a"]).subject_hashes.ids) == ["a"]
    assert Selection.all_user_data().all_user_data
    with pytest.raises(TypeError, match="not one string"):
        Selection.subjects("alice")


@pytest.mark.parametrize("method", ["CreateErasure", "CreateRelease"])
def test_a_retry_keeps_its_request_id(client, book, failure, method):
    book.failures[method] = [failure(UNAVAILABLE)] * 2
    if method == "CreateErasure":
        client.create_erasure(Selection.subjects(["s"]))
    else:
        client.create_release("pets")
    assert len(book.requests[method]) == 3
    assert len({request.request_id for request in book.requests[method]}) == 1


def test_a_large_request_is_retried_too(client, book, failure):
    book.failures["CreateErasure"] = [failure(UNAVAILABLE)]
    client.create_erasure(Selection.subjects(f"{number:040}" for number in range(20_000)))
    assert len(book.requests["CreateErasure"]) == 2


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("CreateModel", lambda client: client.create_model("pets", "lite0", ["cat"])),
        ("DeleteModel", lambda client: client.delete_model("pets")),
        ("CancelErasure", lambda client: client.cancel_erasure("x")),
        ("RetryErasure", lambda client: client.retry_erasure("x")),
        ("LiftSuppression", lambda client: client.lift_suppression("pets", "alice", "is back")),
        ("PlaceHold", lambda client: client.place_hold("alice", "a lawsuit")),
    ],
)
def test_what_is_not_safe_is_not_retried(client, book, failure, method, call):
    book.failures[method] = [failure(UNAVAILABLE)]
    with pytest.raises(UnlearnError):
        call(client)
    assert len(book.requests[method]) == 1
    assert not any(method in methods for methods in SAFE_METHODS.values())


def test_an_exhausted_server_is_not_asked_again(client, book, failure):
    book.failures["GetModel"] = [failure(grpc.StatusCode.RESOURCE_EXHAUSTED)]
    with pytest.raises(UnlearnError):
        client.get_model("pets")
    assert len(book.requests["GetModel"]) == 1


def test_every_call_has_a_deadline(client, book):
    client.create_model("pets", "lite0", ["cat"])
    client.get_model("pets")
    list(client.list_models())
    client.delete_model("pets")
    client.add_samples("pets", [Sample(sample_id="s")])
    client.create_release("pets")
    client.get_release("pets")
    client.predict("pets", images=[b"x"])
    client.create_erasure(Selection.subjects(["s"]))
    client.get_erasure("x")
    list(client.list_erasures())
    list(client.watch_erasure("x"))
    client.cancel_erasure("x")
    client.retry_erasure("x")
    client.audit_model("pets")
    assert len(book.deadlines) == 15
    assert all(0 < deadline < 11 for deadline in book.deadlines.values())


def test_a_passed_deadline_is_an_error(book):
    book.states, book.hold_stream_open = [Erasure.RUNNING], True
    with Client(book.address, timeout=0.2) as client, pytest.raises(UnlearnError) as raised:
        list(client.watch_erasure("x"))
    assert raised.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_an_error_carries_what_the_server_said(client, book, failure):
    book.failures["GetModel"] = [
        failure(grpc.StatusCode.NOT_FOUND, "no such model", "MODEL_NOT_FOUND", {"fix": "list"})
    ]
    with pytest.raises(UnlearnError) as raised:
        client.get_model("pets")
    error = raised.value
    assert isinstance(error, UnlearnClientError)
    assert error.code is grpc.StatusCode.NOT_FOUND
    assert error.reason == "MODEL_NOT_FOUND"
    assert error.message == "no such model"
    assert error.metadata == {"fix": "list"}
    assert str(error) == "MODEL_NOT_FOUND: no such model"


def test_an_error_without_details_goes_by_its_code(client, book, failure):
    book.failures["GetModel"] = [failure(grpc.StatusCode.INTERNAL, "oops")]
    with pytest.raises(UnlearnError, match="INTERNAL: oops") as raised:
        client.get_model("pets")
    assert raised.value.reason == ""


def test_nobody_there_is_an_error_too():
    with Client("127.0.0.1:1", timeout=2) as client, pytest.raises(UnlearnError) as raised:
        client.delete_model("pets")
    assert raised.value.code is UNAVAILABLE


def test_audit_passes_the_salt(client, book):
    assert client.audit_model("pets", b"s" * 32).consistent
    assert book.requests["AuditModel"][0].salt == b"s" * 32
