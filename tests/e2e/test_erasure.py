"""What ErasureService and its neighbours promise, one promise a test."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import grpc
import numpy as np
import pytest

from unlearn.v1.audit_pb2 import AuditModelRequest
from unlearn.v1.erasure_pb2 import (
    CancelErasureRequest,
    CreateErasureRequest,
    Erasure,
    GetErasureRequest,
    ListErasuresRequest,
    RetryErasureRequest,
    WatchErasureRequest,
)
from unlearn.v1.model_pb2 import (
    AddSamplesRequest,
    CreateModelRequest,
    CreateReleaseRequest,
    DeleteModelRequest,
    GetReleaseRequest,
    ListModelsRequest,
    Model,
    Release,
)
from unlearn_client import Selection, UnlearnError

SALT = bytes(range(32))
NEVER = 1000

subjects, samples = Selection.subjects, Selection.samples


def request(selection: Any, *model_ids: str, **fields: Any) -> CreateErasureRequest:
    models = [f"models/{model_id}" for model_id in model_ids]
    erasure = Erasure(selection=selection, models=models, **fields)
    return CreateErasureRequest(request_id=str(uuid4()), erasure=erasure)


def counts(erasure: Erasure) -> dict[str, int]:
    return {o.model.removeprefix("models/"): o.erased_samples for o in erasure.outcomes}


@pytest.fixture
def six(make_sample: Callable[..., Any]) -> list[Any]:
    """Two samples of CORE, two of ada's, one of bob's, one of cyd's."""
    people = ["", "", "ada", "ada", "bob", "cyd"]
    return [make_sample(f"s{i}", person) for i, person in enumerate(people)]


@pytest.fixture
def erase(server: Any) -> Callable[..., Erasure]:
    """Sends a request and waits until it is done."""

    def erase(selection: Any, *model_ids: str, **fields: Any) -> Erasure:
        accepted = server.erasures.CreateErasure(request(selection, *model_ids, **fields))
        return server.client.wait_for_erasure(accepted.name)

    return erase


def test_exact_of_everyone_is_zero_bit_for_bit(server, filled, six, erase):
    exact, zero = filled(six), filled(six)
    by_exact = erase(Selection.all_user_data(), exact, method=Erasure.EXACT)
    by_zero = erase(Selection.all_user_data(), zero, method=Erasure.ZERO)

    assert counts(by_exact) == {exact: 4}
    assert counts(by_zero) == {zero: 4}
    audits = [server.client.audit_model(model_id, SALT) for model_id in (exact, zero)]
    assert audits[0] == audits[1]
    assert audits[0].consistent
    core_alone = server.client.audit_model(filled(six[:2]), SALT)
    assert audits[0] == core_alone
    assert by_zero.outcomes[0].solve.solver == by_exact.outcomes[0].solve.solver == "core"


def test_zero_serves_the_core_samples_of_its_own_time(server, filled, six, erase, make_sample):
    """W_c is kept ready; it must not be the one of an earlier erasure."""
    model_id, more = filled(six), make_sample("late-core")
    for new in ([], [more, six[2]], [six[2]]):  # a user again each time, CORE once
        server.client.add_samples(model_id, new)
        erase(Selection.all_user_data(), model_id, method=Erasure.ZERO)
    core_alone = filled([*six[:2], more])
    audits = [server.client.audit_model(name, SALT) for name in (model_id, core_alone)]
    assert audits[0] == audits[1]
    assert audits[0].consistent


def test_the_weights_after_are_the_rational_optimum_of_what_remains(
    server, filled, six, erase, truth_of
):
    model_id = filled(six)
    erase(subjects(["ada"]))
    audit = server.client.audit_model(model_id, SALT)
    truth = truth_of(server.client.get_model(model_id))
    remaining = [sample for sample in six if sample.subject_id != "ada"]
    assert audit.weights_commitment_served == truth.commitment(SALT, remaining)


def test_requests_that_wait_together_each_get_an_outcome_and_share_a_release(server, filled, six):
    model_id = filled(six, minimum_cohort=3)
    sent = [
        server.erasures.CreateErasure(request(selection, model_id))
        for selection in (
            subjects(["ada"]),
            subjects(["ada", "bob"]),
            samples(["s2", "s4"]),
            subjects(["nobody"]),
        )
    ]
    assert {server.client.get_erasure(e.name).state for e in sent} == {Erasure.PENDING}

    sent.append(server.erasures.CreateErasure(request(samples(["s5"]), model_id)))  # the third
    done = [server.client.wait_for_erasure(e.name) for e in sent]

    assert [e.state for e in done] == [Erasure.SUCCEEDED] * 5
    assert [counts(e)[model_id] for e in done] == [2, 1, 0, 0, 1]
    assert server.client.get_model(model_id).sample_count == 2
    assert {e.outcomes[0].release_after for e in done} == {f"models/{model_id}/releases/2"}
    assert {e.outcomes[0].bound.cohort for e in done if counts(e)[model_id]} == {3}
    destroyed = server.client.get_release(f"models/{model_id}/releases/1")
    assert destroyed.state == Release.DESTROYED
    assert not destroyed.HasField("solve")


def test_a_subject_named_by_several_requests_counts_once_towards_the_cohort(server, filled, six):
    model_id = filled(six, minimum_cohort=2)
    sent = [
        server.erasures.CreateErasure(request(selection, model_id))
        for selection in (subjects(["ada"]), samples(["s2"]), samples(["s2", "s3"]))
    ]
    done = server.client.wait_for_erasure(  # another model's, after which the eraser has looked
        server.erasures.CreateErasure(request(subjects(["ada"]), filled(six))).name
    )
    assert done.state == Erasure.SUCCEEDED
    assert {server.client.get_erasure(e.name).state for e in sent} == {Erasure.PENDING}
    for erasure in sent:
        server.client.cancel_erasure(erasure.name)


def test_a_cohort_waits_no_longer_than_a_day_before_it_is_due(server, filled, six):
    model_id = filled(six, minimum_cohort=NEVER)
    waiting = server.erasures.CreateErasure(request(subjects(["bob"]), model_id))
    assert waiting.state == Erasure.PENDING
    due = request(subjects(["ada"]), model_id)
    due.erasure.receive_time.FromDatetime(datetime.now(UTC) - timedelta(days=31))
    for name in (server.erasures.CreateErasure(due).name, waiting.name):
        assert server.client.wait_for_erasure(name).state == Erasure.SUCCEEDED


def test_an_erasure_is_due_a_calendar_month_after_its_receipt(server, filled, six):
    filled(six)
    late = request(subjects(["ada"]))
    late.erasure.receive_time.FromJsonString("2024-01-31T10:00:00Z")
    erasure = server.erasures.CreateErasure(late)
    assert erasure.receive_time.ToJsonString() == "2024-01-31T10:00:00Z"
    assert erasure.due_time.ToJsonString() == "2024-02-29T10:00:00Z"


def test_a_model_without_a_release_gets_none(server, filled, six, erase):
    model_id = filled(six, release=False)
    outcome = erase(subjects(["ada"]), model_id).outcomes[0]
    assert outcome.erased_samples == 2
    assert (outcome.release_before, outcome.release_after) == ("", "")
    assert not outcome.HasField("solve")
    model = server.client.get_model(model_id)
    assert (model.release, model.sample_count, model.subject_count) == ("", 4, 2)


def test_a_named_model_without_a_match_keeps_its_weights(server, filled, six, erase):
    hit, missed = filled(six), filled(six[:2])
    before = server.client.get_model(missed), server.client.audit_model(missed, SALT)
    erasure = erase(subjects(["ada"]), missed, hit)
    assert counts(erasure) == {missed: 0, hit: 2}
    assert (server.client.get_model(missed), server.client.audit_model(missed, SALT)) == before
    [outcome] = [o for o in erasure.outcomes if o.model == f"models/{missed}"]
    assert outcome.release_before == outcome.release_after == f"models/{missed}/releases/1"


def test_without_models_those_that_hold_a_match_are_meant(server, filled, make_sample):
    person = f"p{uuid4()}"
    first, second = (filled([make_sample("a", person), make_sample("b")]) for _ in range(2))
    filled([make_sample("a", "somebody-else")])
    erasure = server.erasures.CreateErasure(request(subjects([person])))
    assert sorted(erasure.models) == sorted([f"models/{first}", f"models/{second}"])
    done = server.client.wait_for_erasure(erasure.name)
    assert counts(done) == {first: 1, second: 1}


def test_an_erasure_of_one_sample_leaves_the_subjects_others(server, filled, six, erase):
    model_id = filled(six)
    assert counts(erase(samples(["s2"]), model_id)) == {model_id: 1}
    model = server.client.get_model(model_id)
    assert (model.sample_count, model.subject_count) == (5, 3)


def test_erased_samples_can_be_added_again_and_erased_again(server, filled, six, erase):
    model_id = filled(six)
    for _ in range(2):
        assert counts(erase(subjects(["ada"]), model_id)) == {model_id: 2}
        server.client.lift_suppression(model_id, "ada", "she came back")
        assert server.client.add_samples(model_id, six).added == 2


def test_what_was_selected_is_never_answered(server, filled, six):
    model_id = filled(six, minimum_cohort=NEVER)
    sent = request(subjects(["ada"]), model_id, regulation="gdpr")
    answers = [
        server.erasures.CreateErasure(sent),
        server.erasures.CreateErasure(sent),
        server.client.get_erasure(f"erasures/{sent.request_id}"),
        server.client.cancel_erasure(f"erasures/{sent.request_id}"),
    ]
    for erasure in answers:
        assert not erasure.HasField("selection")
        assert erasure.regulation == "gdpr"


def test_a_pending_request_can_be_cancelled_and_then_erases_nothing(server, filled, six, erase):
    model_id = filled(six, minimum_cohort=2)
    waiting = server.erasures.CreateErasure(request(subjects(["ada"]), model_id))
    cancelled = server.client.cancel_erasure(waiting.name)
    assert cancelled.state == Erasure.CANCELLED
    assert cancelled.HasField("complete_time")
    assert server.client.cancel_erasure(waiting.name) == cancelled

    erase(subjects(["bob", "cyd"]), model_id)
    assert server.client.get_model(model_id).sample_count == 4
    assert not server.client.get_erasure(waiting.name).outcomes


def test_a_request_that_is_done_can_be_neither_cancelled_nor_retried(
    server, filled, six, erase, refusal
):
    done = erase(subjects(["ada"]), filled(six))
    for refused in (
        refusal(server.erasures.CancelErasure, CancelErasureRequest(name=done.name)),
        refusal(server.erasures.RetryErasure, RetryErasureRequest(name=done.name)),
    ):
        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.reason == "ERASURE_STATE"
        assert "SUCCEEDED" in refused.message
    assert server.client.get_erasure(done.name) == done


def test_what_a_damaged_row_stops_waits_for_an_operator_and_a_retry_finishes_it(
    open_server, tmp_path, six
):
    """The one way to get there from outside: a sealed row that was altered on disk."""

    def in_database(statement: str, *values: Any) -> Any:
        with closing(sqlite3.connect(tmp_path / "unlearn.db")) as database, database:
            return database.execute(statement, values).fetchone()

    with open_server(tmp_path) as server:
        for model_id in ("damaged", "sound"):
            server.client.create_model(model_id, "features:3", ["cat", "dog", "bird"])
            server.client.add_samples(model_id, six)
        key, payload = in_database("SELECT key, payload FROM samples ORDER BY key LIMIT 1")
    altered = payload[:-1] + bytes([payload[-1] ^ 1])
    in_database("UPDATE samples SET payload = ? WHERE key = ?", altered, key)

    with open_server(tmp_path) as server:  # nothing is cached
        first, second, neighbour = (
            server.erasures.CreateErasure(request(subjects([who]), model_id)).name
            for who, model_id in (("ada", "damaged"), ("bob", "damaged"), ("ada", "sound"))
        )
        assert server.client.wait_for_erasure(neighbour).state == Erasure.SUCCEEDED
        for stuck in map(server.client.wait_for_erasure, (first, second)):
            assert stuck.state == Erasure.NEEDS_OPERATOR
            assert "it was altered, or its key was; restore" in stuck.state_reason
            assert not stuck.outcomes
        with pytest.raises(UnlearnError, match="ERASURE_OPEN"):
            server.client.delete_model("damaged")

        in_database("UPDATE samples SET payload = ? WHERE key = ?", payload, key)
        server.client.retry_erasure(first)
        done = server.client.wait_for_erasure(first)
        assert (done.state, counts(done)) == (Erasure.SUCCEEDED, {"damaged": 2})
        assert done.state_reason == ""
        assert server.client.audit_model("damaged").consistent
        assert server.client.get_model("damaged").sample_count == 4
        assert server.client.cancel_erasure(second).state == Erasure.CANCELLED


def test_one_persons_damaged_row_stops_neither_others_nor_the_cohort(
    open_server, tmp_path, six, make_sample
):
    """Its request alone waits; the rest still go together, in a cohort that is large enough."""
    four = [*six, make_sample("s6", "dan")]
    with open_server(tmp_path) as server:
        for model_id, cohort in (("alone", 0), ("cohort", 3)):
            server.client.create_model(
                model_id, "features:3", ["cat", "dog", "bird"], minimum_cohort=cohort
            )
            server.client.add_samples(model_id, four)
            server.client.create_release(model_id)
        with closing(sqlite3.connect(tmp_path / "unlearn.db")) as database, database:
            # ada's first sample in each model, once the statistics are in memory
            database.execute(
                "UPDATE samples SET payload = zeroblob(64) WHERE key IN"
                " (SELECT MIN(key) + 2 FROM samples GROUP BY model_key)"
            )

        def send(who: str, model_id: str) -> str:
            return server.erasures.CreateErasure(request(subjects([who]), model_id)).name

        ada, bob = send("ada", "alone"), send("bob", "alone")
        assert server.client.wait_for_erasure(ada).state == Erasure.NEEDS_OPERATOR
        assert server.client.wait_for_erasure(bob).state == Erasure.SUCCEEDED

        ada, bob, cyd = (send(who, "cohort") for who in ("ada", "bob", "cyd"))
        assert server.client.wait_for_erasure(ada).state == Erasure.NEEDS_OPERATOR
        assert server.client.get_erasure(bob).state == Erasure.PENDING
        assert server.client.get_model("cohort").release.endswith("/1")
        dan = send("dan", "cohort")
        done = [server.client.wait_for_erasure(name) for name in (bob, cyd, dan)]
        assert {erasure.outcomes[0].release_after for erasure in done} == {
            "models/cohort/releases/2"
        }
        assert {erasure.outcomes[0].bound.cohort for erasure in done} == {3}


def test_a_watch_tells_each_change_and_ends_with_the_request(server, filled, six):
    now, later = filled(six), filled(six, minimum_cohort=NEVER)
    name = server.erasures.CreateErasure(request(subjects(["ada"]), later, now)).name
    stream = server.erasures.WatchErasure(WatchErasureRequest(name=name), timeout=60)
    seen = [next(stream)]
    while not seen[-1].outcomes:
        seen.append(next(stream))
    assert (seen[-1].state, counts(seen[-1])) == (Erasure.RUNNING, {now: 2})

    due = request(subjects(["ada"]), later)
    due.erasure.receive_time.FromDatetime(datetime.now(UTC) - timedelta(days=40))
    server.erasures.CreateErasure(due)
    seen += stream  # ends by itself
    assert (seen[-1].state, counts(seen[-1])) == (Erasure.SUCCEEDED, {now: 2, later: 2})
    assert all(a != b for a, b in pairwise(seen))


def test_a_watch_ends_at_a_cancellation(server, filled, six):
    waiting = server.erasures.CreateErasure(
        request(subjects(["ada"]), filled(six, minimum_cohort=NEVER))
    )
    stream = server.erasures.WatchErasure(WatchErasureRequest(name=waiting.name), timeout=60)
    states = [next(stream).state]
    server.client.cancel_erasure(waiting.name)
    states += [erasure.state for erasure in stream]
    assert states == [Erasure.PENDING, Erasure.CANCELLED]


def test_more_watchers_than_the_pool_has_room_for_are_sent_away_and_others_still_served(
    server, filled, six, refusal
):
    model_id = filled(six, minimum_cohort=NEVER)
    waiting = server.erasures.CreateErasure(request(subjects(["ada"]), model_id))
    watch = WatchErasureRequest(name=waiting.name)
    streams = [server.erasures.WatchErasure(watch, timeout=60) for _ in range(16)]
    for stream in streams:
        next(stream)
    refused = refusal(server.erasures.WatchErasure, watch)
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.reason == "TOO_MANY_WATCHERS"
    assert server.client.get_model(model_id).sample_count == 6
    server.client.cancel_erasure(waiting.name)
    assert [[e.state for e in stream] for stream in streams] == [[Erasure.CANCELLED]] * 16


def test_validation_alone_counts_and_changes_nothing(server, filled, six):
    model_id = filled(six)
    before = server.client.get_model(model_id)
    dry = request(subjects(["ada", "bob"]), model_id)
    dry.validate_only = True
    answer = server.erasures.CreateErasure(dry)
    assert counts(answer) == {model_id: 3}
    assert answer.outcomes[0].bound.cohort == 2
    assert server.client.get_model(model_id) == before
    with pytest.raises(grpc.RpcError, match="no such erasure"):
        server.erasures.GetErasure(GetErasureRequest(name=answer.name))

    dry.validate_only = False  # the id was not taken
    server.client.wait_for_erasure(server.erasures.CreateErasure(dry).name)
    assert server.client.get_model(model_id).sample_count == 3


def test_a_repeated_request_id_is_the_first_request_as_it_now_stands(server, filled, six):
    model_id = filled(six)
    sent = request(subjects(["ada"]), model_id, regulation="gdpr")
    server.client.wait_for_erasure(server.erasures.CreateErasure(sent).name)
    server.client.lift_suppression(model_id, "ada", "she came back")
    server.client.add_samples(model_id, six)

    again = server.erasures.CreateErasure(sent)
    assert again.state == Erasure.SUCCEEDED
    assert counts(again) == {model_id: 2}
    assert server.client.get_model(model_id).sample_count == 6


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.erasure.selection.subjects.ids.append("bob"),
        lambda r: r.erasure.selection.CopyFrom(samples(["ada"])),
        lambda r: r.erasure.models.append("models/other"),
        lambda r: setattr(r.erasure, "method", Erasure.EXACT),
        lambda r: setattr(r.erasure, "regulation", "ccpa"),
        lambda r: setattr(r, "commitment_salt", SALT),
        lambda r: r.erasure.receive_time.FromJsonString("2024-01-31T10:00:00Z"),
    ],
    ids=["ids", "kind", "models", "method", "regulation", "salt", "receive_time"],
)
def test_a_request_id_with_other_content_is_refused(server, filled, six, refusal, change):
    sent = request(subjects(["ada"]), filled(six, minimum_cohort=NEVER))
    accepted = server.erasures.CreateErasure(sent)
    other = CreateErasureRequest.FromString(sent.SerializeToString())
    change(other)
    refused = refusal(server.erasures.CreateErasure, other)
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS
    assert refused.reason == "REQUEST_ID_REUSED"
    assert server.client.get_erasure(accepted.name) == accepted
    server.client.cancel_erasure(accepted.name)


def test_one_request_id_sent_at_once_by_many_is_one_erasure(server, filled, six):
    model_id = filled(six)
    sent = request(subjects(["ada"]), model_id)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: server.erasures.CreateErasure(sent), range(16)))
    assert {e.name for e in answers} == {f"erasures/{sent.request_id}"}
    assert counts(server.client.wait_for_erasure(answers[0].name)) == {model_id: 2}


def test_samples_sent_at_once_by_many_are_counted_as_added_once(server, filled, make_sample):
    model_id = filled([])
    batches = [
        AddSamplesRequest(
            model=f"models/{model_id}",
            samples=[make_sample(f"{batch}-{i}", "ada") for i in range(20)],
        )
        for batch in range(8)
    ]
    with ThreadPoolExecutor(8) as pool:
        for batch in batches:
            answers = list(pool.map(server.models.AddSamples, [iter([batch]) for _ in range(8)]))
            assert sum(answer.added for answer in answers) == 20
            assert sum(answer.unchanged for answer in answers) == 140


def test_a_repeated_request_id_makes_one_release(server, filled, six):
    model_id = filled(six, release=False)
    ask = CreateReleaseRequest(model=f"models/{model_id}", request_id=str(uuid4()))
    first = server.models.CreateRelease(ask)
    assert server.models.CreateRelease(ask) == first
    later = server.client.create_release(model_id)
    assert later.name == f"models/{model_id}/releases/2"

    again = server.models.CreateRelease(ask)
    assert (again.name, again.state) == (first.name, Release.DESTROYED)
    assert (again.weights_commitment, again.state_commitment) == (b"", b"")
    assert server.client.get_model(model_id).release == later.name


def test_a_releases_own_commitments_are_those_its_salt_gives(server, filled, six):
    model_id = filled(six)
    release = server.models.GetRelease(GetReleaseRequest(name=f"models/{model_id}/releases/-"))
    audit = server.audits.AuditModel(AuditModelRequest(model=f"models/{model_id}"))
    assert release.weights_commitment == audit.weights_commitment_recomputed != b""
    assert release.state_commitment == audit.state_commitment_recomputed != b""
    again = server.client.create_release(model_id)  # the same weights under a fresh salt
    assert again.weights_commitment != release.weights_commitment
    assert again.state_commitment != release.state_commitment


def test_a_model_is_deleted_only_as_last_seen(server, filled, six, refusal):
    model_id = filled(six)
    seen = server.client.get_model(model_id)
    server.client.add_samples(model_id, [six[0]])  # nothing new
    assert server.client.get_model(model_id).etag == seen.etag
    server.client.create_release(model_id)
    delete = DeleteModelRequest(name=seen.name, etag=seen.etag)
    refused = refusal(server.models.DeleteModel, delete)
    assert refused.code is grpc.StatusCode.ABORTED
    assert (refused.reason, refused.field) == ("ETAG_MISMATCH", "etag")
    server.client.delete_model(model_id, server.client.get_model(model_id).etag)


def test_a_model_is_not_deleted_while_an_erasure_of_it_is_open(server, filled, six, refusal):
    model_id = filled(six, minimum_cohort=NEVER)
    waiting = server.erasures.CreateErasure(request(subjects(["ada"]), model_id))
    refused = refusal(server.models.DeleteModel, DeleteModelRequest(name=f"models/{model_id}"))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "ERASURE_OPEN"
    assert server.client.get_model(model_id).sample_count == 6
    server.client.cancel_erasure(waiting.name)
    server.client.delete_model(model_id)


def test_a_model_is_not_deleted_while_a_hold_applies_in_it(server, filled, six, refusal):
    model_id, other = filled(six), filled([each for each in six if each.subject_id != "ada"])
    hold = server.client.place_hold("ada", "a lawsuit")
    refused = refusal(server.models.DeleteModel, DeleteModelRequest(name=f"models/{model_id}"))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "HOLD_APPLIES"
    assert server.client.get_model(model_id).sample_count == 6
    server.client.delete_model(other)
    server.client.lift_hold(hold.name)
    server.client.delete_model(model_id)


def test_a_deleted_models_id_is_never_given_out_again(server, filled, six, refusal):
    model_id = filled(six)
    server.client.delete_model(model_id)
    for method, message in (
        (server.models.GetRelease, GetReleaseRequest(name=f"models/{model_id}/releases/1")),
        (server.audits.AuditModel, AuditModelRequest(model=f"models/{model_id}")),
        (server.erasures.CreateErasure, request(subjects(["ada"]), model_id)),
    ):
        assert refusal(method, message).reason == "MODEL_NOT_FOUND"
    again = CreateModelRequest(
        model_id=model_id, model=Model(core="features:3", classes=["cat", "dog"])
    )
    refused = refusal(server.models.CreateModel, again)
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS
    assert refused.reason == "MODEL_EXISTS"


def test_pages_of_models_are_all_models_once_in_order_of_creation(server, filled):
    made = [f"models/{filled([], release=False)}" for _ in range(5)]
    names, token = [], ""
    while True:
        page = server.models.ListModels(ListModelsRequest(page_size=2, page_token=token))
        assert len(page.models) <= 2
        names += [model.name for model in page.models]
        token = page.next_page_token
        if not token:
            break
    assert names[-5:] == made
    assert len(set(names)) == len(names)
    assert names == [model.name for model in server.client.list_models()]


def test_pages_of_erasures_keep_to_their_filter(server, filled, six, refusal):
    model_id = filled(six, minimum_cohort=NEVER)
    sent = [
        server.erasures.CreateErasure(request(subjects(["ada"]), model_id)).name for _ in range(6)
    ]
    for name in sent[::2]:
        server.client.cancel_erasure(name)

    def listed(*states: Any, size: int = 2) -> Iterator[str]:
        token = ""
        while True:
            ask = ListErasuresRequest(page_size=size, page_token=token, states=states)
            page = server.erasures.ListErasures(ask)
            yield from (erasure.name for erasure in page.erasures)
            token = page.next_page_token
            if not token:
                return

    assert list(listed(Erasure.PENDING)) == sent[1::2]
    both = list(listed(Erasure.PENDING, Erasure.CANCELLED))
    assert [name for name in both if name in sent] == sent
    assert list(listed(Erasure.CANCELLED, Erasure.PENDING, size=1)) == both
    assert list(listed())[-6:] == sent

    page = server.erasures.ListErasures(ListErasuresRequest(page_size=1, states=[Erasure.PENDING]))
    strange = ListErasuresRequest(page_size=1, page_token=page.next_page_token)
    assert refusal(server.erasures.ListErasures, strange).reason == "PAGE_TOKEN_INVALID"
    for name in sent[1::2]:
        server.client.cancel_erasure(name)


def test_prediction_goes_on_from_the_old_release_until_the_new_one(server, filled, six, truth_of):
    """Whoever asks meanwhile gets one release or the other, whole."""
    model_id = filled(six)
    truth = truth_of(server.client.get_model(model_id))
    rows = np.array([six[0].features.values], np.float32)
    remaining = [sample for sample in six if sample.subject_id != "ada"]
    before, after = (truth.logits(held, rows) for held in (six, remaining))

    @contextmanager
    def asking() -> Iterator[list[Any]]:
        with ThreadPoolExecutor(1) as pool:
            answers, stop = [], []

            def ask() -> None:
                while not stop:
                    answers.append(server.client.predict(model_id, features=rows).logits)

            asked = pool.submit(ask)
            yield answers
            stop.append(True)
            asked.result()

    with asking() as answers:
        erasure = server.erasures.CreateErasure(request(subjects(["ada"]), model_id))
        server.client.wait_for_erasure(erasure.name)
    kinds = [
        "before" if abs(a - before).max() < 1e-5 else "after" if abs(a - after).max() < 1e-5 else a
        for a in answers
    ]
    assert set(kinds) <= {"before", "after"}
    assert kinds == sorted(kinds, reverse=True)
    now = server.client.predict(model_id, features=rows).logits
    np.testing.assert_allclose(now, after, rtol=1e-6)
