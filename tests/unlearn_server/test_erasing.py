"""Requests accepted and carried out, with the threads that would do it in our hands."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from threading import Barrier
from time import sleep
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from tests.unlearn_server.house import EVERYONE, House, counts, request
from unlearn_server.domain import (
    Erasure,
    ErasureState,
    Method,
    Selection,
    SelectionKind,
)
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.intake import Request
from unlearn_server.ledger import erasures
from unlearn_server.removal import Removal

PENDING, RUNNING, SUCCEEDED, CANCELLED, NEEDS_OPERATOR = (
    ErasureState.PENDING,
    ErasureState.RUNNING,
    ErasureState.SUCCEEDED,
    ErasureState.CANCELLED,
    ErasureState.NEEDS_OPERATOR,
)


@contextmanager
def statements() -> Iterator[list[str]]:
    """Every statement that is sent to a database meanwhile."""
    sent: list[str] = []

    def listen(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", listen)
    try:
        yield sent
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", listen)


def at_once(house: House, requests: Sequence[Request]) -> list[Future[Erasure]]:
    """Sends requests that are all taken in by one transaction; the calls, finished."""
    accepting = house.intake._accepting
    calls: list[Future[Erasure]] = []
    # While we write, the first gets no further, and the others wait for it.
    with ThreadPoolExecutor(1 + len(requests)) as pool, house.database.write():
        pool.submit(house.intake.accept, request(house.subjects("nobody")))
        while not accepting._at_work:
            sleep(0.001)
        for each in requests:
            calls.append(pool.submit(house.intake.accept, each))
            while len(accepting._waiting) < len(calls):
                sleep(0.001)
    return calls


@pytest.mark.parametrize("minimum_cohort", [0, 1])
def test_a_batch_takes_as_many_statements_as_one_request(house: House, minimum_cohort: int) -> None:
    people = [f"p{i}" for i in range(201)]
    house.fill("m", people, cohort=minimum_cohort)
    taken = []
    for names in (people[:1], people[1:]):
        asked = [house.ask(house.subjects(name)) for name in names]
        with statements() as sent:
            house.eraser.erase_open()
        taken.append(len(sent))
        assert {house.now(erasure).state for erasure in asked} == {SUCCEEDED}
    assert house.is_consistent("m")
    assert taken[0] == taken[1] <= 28
    assert house.model("m").sample_count == 0


def test_requests_at_once_take_as_many_statements_as_one(house: House) -> None:
    people = [f"p{i}" for i in range(21)]
    house.fill("m", people)
    with statements() as sent:
        house.ask(house.subjects(people[0]))
    alone = len(sent)
    assert alone <= 7
    with statements() as sent:
        calls = at_once(house, [request(house.subjects(name)) for name in people[1:]])
    # Its own transaction begins; the first request matches nothing, which no hold can apply to.
    assert len(sent) == 1 + (alone - 3) + alone
    assert [call.result().models for call in calls] == [("m",)] * 20
    for call in calls:
        assert house.now(call.result()) == call.result()


def test_a_row_that_several_requests_name_counts_for_the_first(house: House) -> None:
    house.fill("m", ["ada", "bob", "cyd", "dan"], core=["base"])
    selections = [
        house.samples("ada-1", "nothing"),
        house.subjects("ada", "nobody"),
        house.samples("ada-0", "bob-0"),
        house.subjects("bob"),
        house.subjects("bob", "ada"),
        house.samples("cyd-0", "cyd-1", "bob-1"),
    ]
    asked = [house.ask(selection, "m") for selection in selections]
    house.eraser.erase_open()
    done = [house.now(erasure) for erasure in asked]
    assert [counts(erasure)["m"] for erasure in done] == [1, 1, 1, 1, 0, 2]
    assert [erasure.outcomes[0].bound.cohort for erasure in done] == [3, 3, 3, 3, 0, 3]
    assert [erasure.outcomes[0].release_before for erasure in done] == [1, 1, 1, 1, 2, 1]
    assert {erasure.outcomes[0].release_after for erasure in done} == {2}
    assert (house.model("m").sample_count, house.model("m").subject_count) == (3, 1)
    assert house.is_consistent("m")


@pytest.mark.parametrize("method", [Method.EXACT, Method.ZERO])
def test_all_user_data_takes_what_those_before_it_left(house: House, method: Method) -> None:
    house.fill("m", ["ada", "bob", "cyd"], core=["base"])
    asked = [
        house.ask(house.subjects("ada"), "m"),
        house.ask(EVERYONE, "m", method=method),
        house.ask(house.subjects("bob"), "m"),
        house.ask(EVERYONE, "m"),
    ]
    house.eraser.erase_open()
    done = [house.now(erasure) for erasure in asked]
    assert [counts(erasure)["m"] for erasure in done] == [2, 4, 0, 0]
    assert [erasure.outcomes[0].bound.cohort for erasure in done] == [3, 3, 0, 0]
    assert (house.model("m").sample_count, house.model("m").subject_count) == (1, 0)
    assert house.is_consistent("m")


def test_a_subject_is_not_taken_for_a_sample_of_the_same_hash(house: House) -> None:
    house.fill("m", ["ada", "bob"])
    strange = Selection(SelectionKind.SUBJECTS, house.samples("ada-0").hashes)
    asked = [house.ask(strange, "m"), house.ask(house.samples("bob-0"), "m")]
    house.eraser.erase_open()
    assert [counts(house.now(erasure)) for erasure in asked] == [{"m": 0}, {"m": 1}]


def test_what_changes_a_model_raises_its_version_and_nothing_else_does(house: House) -> None:
    house.fill("m", ["ada"], release=False)
    versions = [house.model("m").version]
    for change in (
        lambda: house.add("m", ("bob-0", "bob")),
        lambda: house.release("m"),
        lambda: house.ask(house.subjects("ada")),
        house.eraser.erase_open,
        lambda: house.add("m", ("bob-0", "bob")),
        lambda: house.ask(house.subjects("ada"), "m"),
        house.eraser.erase_open,
    ):
        change()
        versions.append(house.model("m").version)
        assert house.is_consistent("m")
    raised = [after > before for before, after in pairwise(versions)]
    assert raised == [True, True, False, True, False, False, False]


def test_a_request_withdrawn_in_the_middle_undoes_the_batch_which_is_done_without_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.fill("m", ["ada", "bob", "cyd"])
    before = house.model("m")
    asked = [house.ask(house.subjects(who)) for who in ("ada", "bob", "cyd")]
    subtract = Removal.subtract

    def cancel_and_subtract(*args: Any) -> None:
        house.intake.cancel(asked[1].request_id)
        subtract(*args)

    heard = house.to_erase.rings
    with monkeypatch.context() as patched:
        patched.setattr(Removal, "subtract", cancel_and_subtract)
        house.eraser.erase_open()
    assert [house.now(erasure).state for erasure in asked] == [PENDING, CANCELLED, PENDING]
    assert house.model("m") == before
    assert house.is_consistent("m")
    assert house.to_erase.rings > heard  # it is told to look again

    house.eraser.erase_open()
    done = [house.now(erasure) for erasure in asked]
    assert [erasure.state for erasure in done] == [SUCCEEDED, CANCELLED, SUCCEEDED]
    assert [counts(erasure) for erasure in done] == [{"m": 2}, {}, {"m": 2}]
    assert house.model("m").sample_count == 2
    assert house.is_consistent("m")


def test_an_erasure_of_several_models_runs_until_the_last(house: House) -> None:
    for model_id, cohort in (("a", 0), ("b", 2), ("c", 3)):
        house.fill(model_id, ["ada", "bob", "cyd"], cohort=cohort)
    ada = house.ask(house.subjects("ada"))
    assert ada.models == ("a", "b", "c")
    steps = []
    for other in ("bob", "cyd"):
        house.eraser.erase_open()
        steps.append(house.now(ada))
        later = house.ask(house.subjects(other), "b", "c")
    house.eraser.erase_open()
    steps.append(house.now(ada))
    assert [step.state for step in steps] == [RUNNING, RUNNING, SUCCEEDED]
    assert [step.complete_time is None for step in steps] == [True, True, False]
    assert [counts(step) for step in steps] == [
        {"a": 2},
        {"a": 2, "b": 2},
        {"a": 2, "b": 2, "c": 2},
    ]
    assert house.now(later).state is RUNNING  # alone in b, with the others in c
    assert counts(house.now(later)) == {"c": 2}


def test_those_whose_rows_stand_in_the_way_wait_and_the_others_go(house: House) -> None:
    house.fill("m", ["ada", "bob", "cyd", "dan"])
    asked = [
        house.ask(selection, "m")
        for selection in (
            house.samples("bob-0", "later"),
            house.subjects("ada"),
            house.subjects("bob"),
            house.samples("cyd-1", "ada-0"),
            house.subjects("dan"),
        )
    ]
    house.add("m", ("later", ""))
    with house.database.write() as conn:  # ada's first row is damaged
        conn.execute(sa.text("UPDATE samples SET payload = x'00' WHERE key = 1"))
    house.eraser.erase_open()
    done = [house.now(erasure) for erasure in asked]
    assert [erasure.state for erasure in done] == [
        NEEDS_OPERATOR,
        NEEDS_OPERATOR,
        SUCCEEDED,
        NEEDS_OPERATOR,
        SUCCEEDED,
    ]
    assert "CORE" in done[0].state_reason
    assert "does not open" in done[1].state_reason
    assert [counts(erasure) for erasure in done] == [{}, {}, {"m": 2}, {}, {"m": 2}]
    assert house.model("m").sample_count == 5


def test_one_request_sent_at_once_by_many_is_accepted_once(house: House) -> None:
    house.fill("m", ["ada"])
    salt = house.keys.conceal(b"s" * 32)
    same = request(house.subjects("ada"), commitment_salt=salt)
    ready = Barrier(8)

    def send(_: int) -> Erasure:
        ready.wait()
        return house.intake.accept(same)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    answers += [call.result() for call in at_once(house, [same] * 8)]
    assert {answer.key for answer in answers} == {house.now(answers[0]).key}
    house.eraser.erase_open()
    assert counts(house.now(answers[0])) == {"m": 2}


def test_of_two_contents_under_one_request_id_the_first_is_accepted(house: House) -> None:
    house.fill("m", ["ada", "bob"])
    first = request(house.subjects("ada"))
    other = request(house.subjects("bob"), request_id=first.request_id, fingerprint=b"g" * 32)
    calls = at_once(house, [first, other, first])
    assert calls[0].result() == calls[2].result() == house.now(calls[0].result())
    assert reason(calls[1]) is Reason.REQUEST_ID_REUSED


def test_a_refusal_among_requests_at_once_is_its_own_alone(house: House) -> None:
    house.fill("m", ["ada", "bob"], core=["base"])
    house.fill("n", ["ada"])
    calls = at_once(
        house,
        [
            request(house.subjects("ada")),
            request(house.samples("bob-0", "base")),
            request(house.subjects("bob"), "m", "nowhere"),
            request(house.subjects("nobody")),
            request(EVERYONE, "m"),
            request(house.subjects("bob"), "n", "m"),
        ],
    )
    assert [call.exception() is None for call in calls] == [True, False, False, True, True, True]
    assert reason(calls[1]) is Reason.CORE_SAMPLE
    assert reason(calls[2]) is Reason.MODEL_NOT_FOUND
    accepted = [call.result() for call in calls if call.exception() is None]
    assert [house.now(erasure) for erasure in accepted] == accepted
    assert [erasure.models for erasure in accepted] == [("m", "n"), (), ("m",), ("n", "m")]
    assert [erasure.state for erasure in accepted] == [PENDING, SUCCEEDED, PENDING, PENDING]
    with house.database.read() as conn:
        assert len(erasures.page(conn, [], 0, 100)) == 1 + len(accepted)


def test_a_sample_is_core_only_in_the_models_that_are_meant(house: House) -> None:
    house.fill("m", ["ada"], core=["shared"])
    house.fill("n", [])
    house.add("n", ("shared", "bob"))
    assert house.ask(house.samples("shared"), "n").models == ("n",)
    for model_ids in ((), ("m",), ("n", "m")):
        with pytest.raises(ServiceError) as caught:
            house.ask(house.samples("shared"), *model_ids)
        assert caught.value.reason is Reason.CORE_SAMPLE


def test_a_commit_that_fails_fails_everybody_in_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.fill("m", ["ada", "bob", "cyd"])
    write = house.database.write

    @contextmanager
    def full() -> Iterator[sa.Connection]:
        with write() as conn:
            yield conn
            raise sa.exc.OperationalError("COMMIT", None, OSError("disk full"))

    requests = [request(house.subjects(who)) for who in ("ada", "bob", "cyd")]
    with monkeypatch.context() as patched:
        patched.setattr(house.intake, "_database", SimpleNamespace(write=full))
        calls = at_once(house, requests)
    for call in calls:
        with pytest.raises(sa.exc.OperationalError):
            call.result()
    with house.database.read() as conn:
        assert erasures.find(conn, [each.request_id for each in requests]) == {}
    for each in requests:  # sent again, as callers should
        assert house.intake.accept(each).state is PENDING


def reason(call: Future[Erasure]) -> Reason:
    error = call.exception()
    assert isinstance(error, ServiceError)
    return error.reason
