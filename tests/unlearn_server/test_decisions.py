"""Extensions and refusals, and deadlines that nothing but an operator moves."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from structlog.testing import capture_logs

from tests.unlearn_server.house import House, counts
from unlearn_client.verification.statements import Statement, read_statement
from unlearn_server import deadlines, fsck
from unlearn_server.domain import Erasure, ErasureState
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger import erasures, schema
from unlearn_server.log import envelopes
from unlearn_server.removal import Removal

PENDING, HELD, RUNNING, SUCCEEDED, CANCELLED, NEEDS_OPERATOR, REFUSED = (
    ErasureState.PENDING,
    ErasureState.HELD,
    ErasureState.RUNNING,
    ErasureState.SUCCEEDED,
    ErasureState.CANCELLED,
    ErasureState.NEEDS_OPERATOR,
    ErasureState.REFUSED,
)
GROUND, WHY = "gdpr-17-3-b", "kept as tax law demands"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def house(house_on_either: House) -> House:
    return house_on_either


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def certificate(house: House, index: int) -> Statement:
    envelope = house.evidence.certificate(index).envelope
    return read_statement(envelopes.from_json(envelope).payload)


def predicate(house: House, index: int) -> Any:
    return certificate(house, index).document["predicate"]


def reason(call: Callable[[], Any]) -> tuple[Reason, str]:
    with pytest.raises(ServiceError) as caught:
        call()
    return caught.value.reason, caught.value.field


def findings(house: House, tmp_path: Any) -> list[fsck.Finding]:
    """Of certificates; the log was not published, so there is no file of it."""
    found = fsck.check(house.database, house.keys, tmp_path / "log")
    return [each for each in found if not each.where.startswith("log/")]


def refuse(house: House, erasure: Erasure, ground: str = GROUND, why: str = WHY) -> Erasure:
    return house.decisions.refuse(erasure.request_id, ground, why)


def test_a_refusal_is_recorded_and_certified_without_the_operators_words(
    house: House, tmp_path: Any
) -> None:
    house.fill("m", ["ada"])
    house.holding.place(house.keys.hash_subject("ada"), "a lawsuit")
    asked = house.ask(house.subjects("ada"))
    refused = refuse(house, asked)
    assert (refused.state, refused.state_reason) == (REFUSED, WHY)
    assert refused.refusal is not None
    assert refused.refusal.ground == GROUND
    assert (refused.commitment_salt, refused.complete_time is None) == (None, False)
    [told] = house.evidence.certificates(-1, 10, refused.request_id, None)
    assert (told.certified.request_id, told.certified.model_id) == (refused.request_id, None)
    assert house.evidence.certificate(told.certified.index).certified == told.certified
    assert house.evidence.certificates(-1, 10, None, "m") == []
    statement = certificate(house, refused.refusal.certificate)
    name = f"erasures/{refused.request_id}"
    assert statement.document["subject"] == [
        {"name": name, "digest": {"sha256": sha256(name.encode()).hexdigest()}}
    ]
    assert statement.document["predicate"]["models"] == ["models/m"]
    assert statement.commitments["subject"].count == 1
    assert dict(statement.claims)["Ground"] == GROUND
    assert WHY not in json.dumps(statement.document)
    assert findings(house, tmp_path) == []


def test_a_refusal_again_is_the_same_and_another_is_none(house: House) -> None:
    house.fill("m", ["ada"])
    refused = refuse(house, house.ask(house.subjects("ada")))
    assert refuse(house, refused) == refused
    for ground, why in (("gdpr-12-5-b", WHY), (GROUND, "other words")):
        call = partial(refuse, house, refused, ground, why)
        assert reason(call) == (Reason.ERASURE_STATE, "name")
    assert len(house.evidence.certificates(-1, 10, None, None)) == 1
    house.eraser.erase_open()
    assert house.model("m").sample_count == 2


@pytest.mark.parametrize("state", ErasureState)
def test_only_what_is_not_carried_out_can_be_refused(house: House, state: ErasureState) -> None:
    house.fill("m", ["ada"])
    asked = house.ask(house.subjects("ada"))
    with house.database.write() as conn:
        erasures.transition(conn, asked.request_id, [PENDING], state)
    if state in {PENDING, HELD, NEEDS_OPERATOR}:
        assert refuse(house, asked).state is REFUSED
    else:
        assert reason(lambda: refuse(house, asked)) == (Reason.ERASURE_STATE, "name")
        assert house.evidence.certificates(-1, 10, None, None) == []


def test_what_was_done_before_stays_certified_and_the_rest_is_refused(
    house: House, tmp_path: Any
) -> None:
    house.fill("a", ["ada", "bob"])
    house.fill("b", ["ada", "bob"], cohort=10)
    asked = house.ask(house.subjects("ada"))
    house.eraser.erase_open()
    assert reason(lambda: refuse(house, asked)) == (Reason.ERASURE_STATE, "name")  # RUNNING
    house.holding.place(house.keys.hash_subject("ada"), "a lawsuit")
    refused = refuse(house, asked)
    assert counts(refused) == {"a": 2}
    assert refused.refusal is not None
    assert predicate(house, refused.refusal.certificate)["models"] == ["models/b"]
    found = house.evidence.certificates(-1, 10, refused.request_id, None)
    assert [each.certified.model_id for each in found] == ["a", None]
    assert [each.certified for each in house.evidence.certificates(-1, 10, None, None)] == [
        each.certified for each in found
    ]
    assert findings(house, tmp_path) == []


def test_fsck_finds_a_refusal_that_was_changed(house: House, tmp_path: Any) -> None:
    house.fill("m", ["ada"])
    refused = refuse(house, house.ask(house.subjects("ada")))
    assert refused.refusal is not None
    with house.database.write() as conn:
        erasures.refuse(conn, refused.key, replace(refused.refusal, ground="x"), WHY, ago(0))
    assert findings(house, tmp_path) == []  # a final state is final
    with house.database.write() as conn:
        conn.execute(sa.text("UPDATE erasures SET refusal_ground = 'gdpr-12-5-b'"))
    assert [each.where for each in findings(house, tmp_path)] == ["certificates/0"]


def test_an_extension_moves_the_due_time_once(house: House) -> None:
    house.fill("m", ["ada"])
    asked = house.ask(house.subjects("ada"))
    later = asked.due_time + 40 * DAY
    extended = house.decisions.extend(asked.request_id, later, WHY)
    assert (extended.state, extended.due_time) == (PENDING, later)
    assert extended.extension is not None
    assert extended.extension.reason == WHY
    assert extended.extension.first_due_time == asked.due_time
    assert house.decisions.extend(asked.request_id, later, WHY) == extended
    for due, why in ((later + HOUR, WHY), (later, "other words")):
        call = partial(house.decisions.extend, asked.request_id, due, why)
        assert reason(call) == (Reason.ERASURE_STATE, "name")


def test_an_extension_is_later_and_at_most_two_calendar_months(house: House) -> None:
    house.fill("m", ["ada"])
    asked = house.ask(house.subjects("ada"))
    latest = deadlines.latest(asked.due_time)
    for due in (asked.due_time - DAY, asked.due_time, latest + timedelta(microseconds=1)):
        call = partial(house.decisions.extend, asked.request_id, due, WHY)
        assert reason(call) == (Reason.INVALID_FIELD, "due_time")
    assert house.decisions.extend(asked.request_id, latest, WHY).due_time == latest


@pytest.mark.parametrize("state", ErasureState)
def test_only_what_is_open_can_be_extended(house: House, state: ErasureState) -> None:
    house.fill("m", ["ada"])
    asked = house.ask(house.subjects("ada"))
    with house.database.write() as conn:
        erasures.transition(conn, asked.request_id, [PENDING], state)

    def call() -> Erasure:
        return house.decisions.extend(asked.request_id, asked.due_time + DAY, WHY)

    if state in erasures.OPEN_STATES:
        assert call().state is state
    else:
        assert reason(call) == (Reason.ERASURE_STATE, "name")


def test_what_is_overdue_is_not_extended(house: House) -> None:
    house.fill("m", ["ada"], cohort=2)
    asked = house.ask(house.subjects("ada"), receive_time=ago(40))
    call = partial(house.decisions.extend, asked.request_id, datetime.now(UTC) + DAY, WHY)
    assert reason(call) == (Reason.ERASURE_STATE, "name")


def test_an_extension_is_on_the_certificates_that_follow(house: House, tmp_path: Any) -> None:
    house.fill("a", ["ada", "bob"])
    house.fill("b", ["ada", "bob"], cohort=2)
    asked = house.ask(house.subjects("ada"))
    house.eraser.erase_open()
    house.decisions.extend(asked.request_id, asked.due_time + DAY, WHY)
    house.ask(house.subjects("bob"))
    house.eraser.erase_open()
    before, after = (each.certificate for each in house.now(asked).outcomes)
    assert before is not None
    assert after is not None
    assert "extension" not in predicate(house, before)
    told = predicate(house, after)
    assert sorted(told["extension"]) == ["extendTime", "firstDueTime"]
    assert told["extension"]["firstDueTime"] == predicate(house, before)["dueTime"]
    assert "Extended" in dict(certificate(house, after).claims)
    assert findings(house, tmp_path) == []


def test_an_extension_that_comes_while_it_is_carried_out_is_certified(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    house.fill("m", ["ada"])
    asked = house.ask(house.subjects("ada"))
    subtract = Removal.subtract

    def extend_and_subtract(*args: Any) -> None:
        house.decisions.extend(asked.request_id, asked.due_time + DAY, WHY)
        subtract(*args)

    with monkeypatch.context() as patched:
        patched.setattr(Removal, "subtract", extend_and_subtract)
        house.eraser.erase_open()
    [outcome] = house.now(asked).outcomes
    assert outcome.certificate is not None
    assert "extension" in predicate(house, outcome.certificate)
    assert findings(house, tmp_path) == []


@pytest.mark.parametrize(("days_left", "goes"), [(2.0, False), (0.9, True), (-5.0, True)])
def test_a_cohort_makes_nothing_late_after_downtime_either(
    house: House, days_left: float, goes: bool
) -> None:
    """``days_left`` until it is due when the eraser looks for the first time."""
    house.fill("m", ["ada", "bob"], cohort=2)
    asked = house.ask(house.subjects("ada"))
    with house.database.write() as conn:
        _move_due_time(conn, "due_time", ago(-days_left))
    house.eraser.erase_open()
    assert house.now(asked).state is (SUCCEEDED if goes else PENDING)


def test_an_extended_request_waits_for_its_cohort_until_its_own_last_call(house: House) -> None:
    house.fill("m", ["ada", "bob"], cohort=2)
    asked = house.ask(house.subjects("ada"), receive_time=ago(28) + HOUR)
    soon = asked.due_time
    house.decisions.extend(asked.request_id, soon + 30 * DAY, WHY)
    with house.database.write() as conn:  # the first due time comes, and passes
        _move_due_time(conn, "first_due_time", ago(10))
    house.eraser.erase_open()
    assert house.now(asked).state is PENDING
    with house.database.write() as conn:
        _move_due_time(conn, "due_time", datetime.now(UTC) + deadlines.LAST_CALL - HOUR)
    house.eraser.erase_open()
    assert house.now(asked).state is SUCCEEDED


def _move_due_time(conn: sa.Connection, column: str, time: datetime) -> None:
    conn.execute(sa.update(schema.erasures).values({column: time}))


def test_what_is_late_is_counted_and_warned_of_once(house: House) -> None:
    house.fill("a", ["ada"])
    house.fill("b", ["ada"])
    late = house.ask(house.subjects("ada"), receive_time=ago(40))
    with house.database.read() as conn:
        assert erasures.count_overdue(conn, datetime.now(UTC)) == 1
        assert erasures.count_late(conn) == 0
    structlog.reset_defaults()
    with capture_logs() as logs:
        house.eraser.erase_open()
    warned = [each for each in logs if each["log_level"] == "warning"]
    assert [each["erasure"] for each in warned] == [f"erasures/{late.request_id}"]
    in_time = house.ask(house.subjects("ada"), "a")
    house.eraser.erase_open()
    assert house.now(in_time).state is SUCCEEDED
    with house.database.read() as conn:
        assert erasures.count_overdue(conn, datetime.now(UTC)) == 0
        assert erasures.count_late(conn) == 1


_BOBS = schema.samples.c.key == 3


def test_one_that_needs_its_operator_delays_nobody_and_has_a_way_back(house: House) -> None:
    house.fill("m", ["ada", "bob", "cyd"])
    poison = house.ask(house.subjects("bob"), receive_time=ago(3))
    others = [house.ask(house.subjects(who)) for who in ("ada", "cyd")]
    with house.database.write() as conn:  # one of bob's rows is damaged
        payload = conn.scalar(sa.select(schema.samples.c.payload).where(_BOBS))
        conn.execute(sa.update(schema.samples).where(_BOBS).values(payload=b"damaged"))
    house.eraser.erase_open()
    assert [house.now(each).state for each in (poison, *others)] == [
        NEEDS_OPERATOR,
        SUCCEEDED,
        SUCCEEDED,
    ]
    assert "does not open" in house.now(poison).state_reason
    again = house.ask(house.samples("ada-9"), "m")
    house.eraser.erase_open()
    assert house.now(again).state is SUCCEEDED
    with house.database.write() as conn:
        conn.execute(sa.update(schema.samples).where(_BOBS).values(payload=payload))
    assert house.intake.retry(poison.request_id).state is PENDING
    house.eraser.erase_open()
    assert house.now(poison).state is SUCCEEDED
    assert house.is_consistent("m")
