from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unlearn_server.domain import (
    FINAL_STATES,
    Erasure,
    ErasureState,
    Method,
    Model,
    Outcome,
    Selection,
    SelectionKind,
)
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger import erasures, models, outcomes
from unlearn_server.ledger.batches import BATCH
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.erasures import OPEN_STATES, RUNNABLE_STATES, WITHDRAWABLE_STATES
from unlearning.objective import Objective
from unlearning.release import NO_LEAKAGE
from unlearning.rounding import SolveReport

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SELECTION = Selection(SelectionKind.SUBJECTS, (b"a" * 32, b"b" * 32))
ALL = Selection(SelectionKind.ALL_USER_DATA)

Create = Callable[[str], Model]
Accept = Callable[..., Erasure]


def outcome(model_id: str) -> Outcome:
    return Outcome(
        model_id=model_id,
        method=Method.EXACT,
        erased_samples=3,
        release_before=1,
        release_after=2,
        solve=SolveReport("exact", 0.1, 1e-300, True),
        bound=NO_LEAKAGE.bound(2),
    )


def nothing_served(model_id: str) -> Outcome:
    return Outcome(model_id, Method.ZERO, 0, None, None, None, NO_LEAKAGE.bound(0))


def complete(database: Database, erasure: Erasure, done: Outcome) -> Erasure:
    with database.write() as conn:
        outcomes.add_all(conn, {erasure.key: done}, NOW)
        return erasures.get(conn, erasure.request_id)


def move(database: Database, erasure: Erasure, to: ErasureState) -> Erasure:
    with database.write() as conn:
        assert erasures.transition(conn, erasure.request_id, list(ErasureState), to)
        return erasures.get(conn, erasure.request_id)


def test_an_accepted_erasure_comes_back_as_it_was(
    database: Database, create: Create, accept: Accept
) -> None:
    create("b")
    create("a")
    erasure = accept("r", ["b", "a"], SELECTION, NOW + timedelta(days=31))
    assert erasure.key > 0
    with database.read() as conn:
        assert erasures.get(conn, "r") == erasure
    assert erasure == Erasure(
        key=erasure.key,
        request_id="r",
        fingerprint=b"f" * 32,
        selection=SELECTION,
        subject_root=b"r" * 32,
        commitment_salt=b"s" * 32,
        models=("b", "a"),
        method=Method.EXACT,
        regulation="gdpr",
        state=ErasureState.PENDING,
        state_reason="",
        outcomes=(),
        receive_time=erasure.receive_time,
        due_time=NOW + timedelta(days=31),
        complete_time=None,
    )


@pytest.mark.usefixtures("model")
def test_a_selection_without_hashes_comes_back(database: Database, accept: Accept) -> None:
    accept("r", ["m"], ALL)
    with database.read() as conn:
        assert erasures.get(conn, "r").selection == ALL


@pytest.mark.usefixtures("model")
def test_a_request_is_accepted_once(database: Database, accept: Accept) -> None:
    accepted = accept("r", ["m"], SELECTION)
    with pytest.raises(sa.exc.IntegrityError):
        accept("r", ["m"], ALL)
    with database.read() as conn:
        assert erasures.find(conn, ["s", "r"]) == {"r": accepted}
        with pytest.raises(ServiceError) as caught:
            erasures.get(conn, "s")
    assert caught.value.reason is Reason.ERASURE_NOT_FOUND


def test_needs_models_that_exist(database: Database, model: Model, accept: Accept) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        accept("r", ["m", "n"], SELECTION)
    with database.write() as conn:
        models.delete(conn, model.key, NOW)
    with pytest.raises(sa.exc.IntegrityError):
        accept("r", ["m"], SELECTION)
    with database.read() as conn:
        assert erasures.find(conn, ["r"]) == {}


def test_runs_until_every_model_has_its_outcome(
    database: Database, create: Create, accept: Accept
) -> None:
    for model_id in ("a", "b"):
        create(model_id)
    erasure = accept("r", ["a", "b"], SELECTION)
    erasure = complete(database, erasure, outcome("b"))
    assert (erasure.state, erasure.complete_time) == (ErasureState.RUNNING, None)
    erasure = complete(database, erasure, nothing_served("a"))
    assert (erasure.state, erasure.complete_time) == (ErasureState.SUCCEEDED, NOW)
    assert erasure.outcomes == (outcome("b"), nothing_served("a"))


def test_an_outcome_is_recorded_exactly_once(
    database: Database, create: Create, accept: Accept
) -> None:
    for model_id in ("a", "b", "c"):
        create(model_id)
    erasure = complete(database, accept("r", ["a", "b"], SELECTION), outcome("a"))
    with pytest.raises(sa.exc.IntegrityError):
        complete(database, erasure, outcome("a"))
    with pytest.raises(sa.exc.IntegrityError):
        complete(database, erasure, outcome("c"))
    with database.read() as conn:
        assert erasures.get(conn, "r") == erasure


@pytest.mark.parametrize("state", sorted(set(ErasureState) - RUNNABLE_STATES))
@pytest.mark.usefixtures("model")
def test_only_a_pending_or_running_erasure_gets_outcomes(
    database: Database, accept: Accept, state: ErasureState
) -> None:
    erasure = move(database, accept("r", ["m"], SELECTION), state)
    with pytest.raises(ServiceError) as caught:
        complete(database, erasure, outcome("m"))
    assert caught.value.reason is Reason.ERASURE_STATE
    with database.read() as conn:
        assert erasures.get(conn, "r") == erasure


@pytest.mark.parametrize("state", ErasureState)
@pytest.mark.usefixtures("model")
def test_a_move_is_made_only_from_the_states_it_names(
    database: Database, accept: Accept, state: ErasureState
) -> None:
    before = move(database, accept("r", ["m"], SELECTION), state)
    with database.write() as conn:
        moved = erasures.transition(
            conn,
            "r",
            WITHDRAWABLE_STATES,
            ErasureState.CANCELLED,
            reason="withdrawn",
            complete_time=NOW,
        )
        after = erasures.get(conn, "r")
    assert moved == (state in WITHDRAWABLE_STATES)
    if moved:
        assert (after.state, after.state_reason) == (ErasureState.CANCELLED, "withdrawn")
        assert after.complete_time == NOW
    else:
        assert after == before


def test_a_move_of_what_is_not_there_is_none(database: Database) -> None:
    with database.write() as conn:
        assert not erasures.transition(conn, "r", OPEN_STATES, ErasureState.CANCELLED)


def test_the_eraser_finds_what_it_has_yet_to_do(
    database: Database, create: Create, accept: Accept
) -> None:
    for model_id in ("a", "b", "c"):
        create(model_id)
    done_in_a = complete(database, accept("1", ["a", "b"], SELECTION), outcome("a"))
    pending = accept("2", ["b"], SELECTION)
    move(database, accept("3", ["b", "c"], SELECTION), ErasureState.HELD)
    move(database, accept("4", ["b"], SELECTION), ErasureState.CANCELLED)
    with database.read() as conn:
        assert erasures.open_for_model(conn, "a") == []
        assert erasures.open_for_model(conn, "b") == [done_in_a, pending]
        assert erasures.open_for_model(conn, "c") == []
        assert erasures.models_with_open(conn, tangent=False) == ["b"]


@pytest.mark.parametrize("state", ErasureState)
def test_an_erasure_is_open_until_it_is_final(
    database: Database, model: Model, create: Create, accept: Accept, state: ErasureState
) -> None:
    move(database, accept("r", ["m"], SELECTION), state)
    other = create("other")
    with database.read() as conn:
        assert erasures.has_open(conn, model.key) == (state not in FINAL_STATES)
        assert not erasures.has_open(conn, other.key)
        assert erasures.earliest_due(conn) == (
            None if state in FINAL_STATES else erasures.get(conn, "r").due_time
        )


@pytest.mark.usefixtures("model")
def test_counts_and_the_earliest_due_time(database: Database, accept: Accept) -> None:
    move(database, accept("1", ["m"], SELECTION, NOW), ErasureState.REFUSED)
    accept("2", ["m"], SELECTION, NOW + timedelta(days=3))
    move(
        database,
        accept("3", ["m"], SELECTION, NOW + timedelta(days=2)),
        ErasureState.NEEDS_OPERATOR,
    )
    accept("4", ["m"], SELECTION, NOW + timedelta(days=5))
    with database.read() as conn:
        assert erasures.count_by_state(conn) == {
            ErasureState.REFUSED: 1,
            ErasureState.PENDING: 2,
            ErasureState.NEEDS_OPERATOR: 1,
        }
        assert erasures.earliest_due(conn) == NOW + timedelta(days=2)


@pytest.mark.usefixtures("model")
def test_pages_are_in_order_of_acceptance(database: Database, accept: Accept) -> None:
    first, second, third = (accept(name, ["m"], SELECTION) for name in "cab")
    held = move(database, second, ErasureState.HELD)
    with database.read() as conn:
        assert erasures.page(conn, [], 0, 10) == [first, held, third]
        assert erasures.page(conn, [], first.key, 1) == [held]
        assert erasures.page(conn, [ErasureState.PENDING], 0, 10) == [first, third]
        assert erasures.page(conn, [ErasureState.RUNNING], 0, 10) == []


def test_without_a_model_there_is_nothing_to_run(database: Database, accept: Accept) -> None:
    assert accept("r", [], SELECTION).models == ()
    with database.read() as conn:
        assert erasures.models_with_open(conn, tangent=False) == []


@pytest.mark.usefixtures("model")
def test_many_are_accepted_at_once_in_their_order(
    database: Database, draft: Callable[..., Erasure]
) -> None:
    new = [draft(str(number), ["m"] * (number % 2), SELECTION) for number in range(BATCH + 1)]
    with database.write() as conn:
        stored = erasures.insert(conn, new)
        assert erasures.insert(conn, []) == {}
    with database.read() as conn:
        assert erasures.page(conn, [], 0, len(new)) == list(stored.values())
        assert erasures.find(conn, list(stored)) == stored
        assert [each.request_id for each in erasures.open_for_model(conn, "m")] == [
            each.request_id for each in new if each.models
        ]


@pytest.mark.usefixtures("model")
def test_of_many_none_is_accepted_if_one_cannot_be(
    database: Database, accept: Accept, draft: Callable[..., Erasure]
) -> None:
    accepted = accept("1", ["m"], SELECTION)
    for bad in (draft("1", ["m"], ALL), draft("2", ["n"], ALL)):
        with pytest.raises(sa.exc.IntegrityError), database.write() as conn:
            erasures.insert(conn, [draft("0", ["m"], ALL), bad])
    with database.read() as conn:
        assert erasures.page(conn, [], 0, 10) == [accepted]


def test_more_outcomes_than_a_statement_binds_are_recorded_at_once(
    database: Database, create: Create, draft: Callable[..., Erasure]
) -> None:
    create("a")
    create("b")
    new = [draft(str(n), ["a", "b"][: 1 + n % 2], SELECTION) for n in range(2 * BATCH + 1)]
    with database.write() as conn:
        stored = erasures.insert(conn, new).values()
        outcomes.add_all(conn, {each.key: outcome("a") for each in stored}, NOW)
        now = erasures.page(conn, [], 0, len(new))
    for before, after in zip(stored, now, strict=True):
        assert after.outcomes == (outcome("a"),)
        is_done = before.models == ("a",)
        assert after.state is (ErasureState.SUCCEEDED if is_done else ErasureState.RUNNING)
        assert after.complete_time == (NOW if is_done else None)


@pytest.mark.usefixtures("model")
def test_where_one_erasure_was_withdrawn_no_outcome_is_recorded(
    database: Database, accept: Accept
) -> None:
    asked = [accept(name, ["m"], SELECTION) for name in "abc"]
    asked[1] = move(database, asked[1], ErasureState.CANCELLED)
    with pytest.raises(ServiceError) as caught, database.write() as conn:
        outcomes.add_all(conn, {each.key: outcome("m") for each in asked}, NOW)
    assert caught.value.reason is Reason.ERASURE_STATE
    with database.read() as conn:
        assert erasures.page(conn, [], 0, 10) == asked


WHERE = {"r": "abc", "s": "a", "t": "bc"}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.sampled_from("abc"),
            st.tuples(st.sampled_from(["stick", "retry", "cancel"]), st.sampled_from("rst")),
        ),
        max_size=14,
    )
)
def test_whatever_happens_outcomes_and_state_agree(
    database: Database,
    objective: Objective,
    draft: Callable[..., Erasure],
    steps: list[str | tuple[str, str]],
) -> None:
    with database.write() as conn:
        for model_id in "abc":
            models.insert(
                conn,
                model_id=model_id,
                core="c",
                objective=objective,
                minimum_cohort=0,
                create_time=NOW,
            )
        erasures.insert(conn, [draft(name, where, SELECTION) for name, where in WHERE.items()])
        for step in steps:
            _take(conn, step)
            for name, where in WHERE.items():
                now = erasures.get(conn, name)
                done = [each.model_id for each in now.outcomes]
                assert len(set(done)) == len(done)
                assert (now.state is ErasureState.SUCCEEDED) == (len(done) == len(where))
                assert (now.complete_time == NOW) == (now.state is ErasureState.SUCCEEDED)
                assert (now.state is ErasureState.RUNNING) <= (0 < len(done) < len(where))
                waiting = {each for each in "abc" if now in erasures.open_for_model(conn, each)}
                is_runnable = now.state in RUNNABLE_STATES
                assert waiting == (set(where) - set(done) if is_runnable else set())
        conn.rollback()


def _take(conn: sa.Connection, step: str | tuple[str, str]) -> None:
    match step:
        case "stick", name:
            erasures.transition(conn, name, RUNNABLE_STATES, ErasureState.NEEDS_OPERATOR)
        case "retry", name:
            erasures.transition(conn, name, [ErasureState.NEEDS_OPERATOR], ErasureState.PENDING)
        case "cancel", name:
            erasures.transition(conn, name, WITHDRAWABLE_STATES, ErasureState.CANCELLED)
        case str(model_id):  # all that wait for it go together
            batch = erasures.open_for_model(conn, model_id)
            outcomes.add_all(conn, {each.key: outcome(model_id) for each in batch}, NOW)
