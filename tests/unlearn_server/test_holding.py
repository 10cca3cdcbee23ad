"""Holds: what they apply to, whatever comes in whatever order."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unlearn_server.house import EVERYONE, House, counts, request
from unlearn_server.domain import Erasure, ErasureState, Retention, SelectionKind
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger import erasures, holds
from unlearn_server.removal import Removal

PENDING, HELD, RUNNING, SUCCEEDED, CANCELLED, NEEDS_OPERATOR = (
    ErasureState.PENDING,
    ErasureState.HELD,
    ErasureState.RUNNING,
    ErasureState.SUCCEEDED,
    ErasureState.CANCELLED,
    ErasureState.NEEDS_OPERATOR,
)
WHY = "a lawsuit"


@pytest.fixture
def house(house_on_either: House) -> House:
    return house_on_either


def hold(house: House, who: str) -> str:
    return house.holding.place(house.keys.hash_subject(who), WHY).hold_id


def states(house: House, *asked: Erasure) -> list[ErasureState]:
    return [house.now(erasure).state for erasure in asked]


def test_what_names_or_touches_the_subject_waits_and_nothing_else(house: House) -> None:
    house.fill("m", ["ada", "bob"])
    house.fill("n", ["bob"])
    selections: list[tuple[Any, tuple[str, ...], bool]] = [
        (house.subjects("ada"), (), True),
        (house.subjects("bob", "ada"), ("n",), True),  # named, if not there
        (house.samples("ada-0"), ("m",), True),
        (house.samples("ada-0", "bob-0"), ("n",), False),  # ada's sample is elsewhere
        (EVERYONE, ("n", "m"), True),
        (EVERYONE, ("n",), False),
        (house.subjects("bob"), (), False),
        (house.subjects("cyd"), ("m",), False),
    ]
    before = [house.ask(selection, *where) for selection, where, _ in selections]
    placed = hold(house, "ada")
    after = [house.ask(selection, *where) for selection, where, _ in selections]
    expected = [HELD if held else PENDING for *_, held in selections]
    assert states(house, *before) == expected
    assert states(house, *after) == [erasure.state for erasure in after] == expected
    assert {house.now(each).state_reason for each in before + after} == {"", holds.WAITS}
    house.eraser.erase_open()
    assert states(house, *before) == [HELD if each is HELD else SUCCEEDED for each in expected]
    assert house.model("m").sample_count == 2
    house.holding.lift(placed)
    assert set(states(house, *before)) == {PENDING, SUCCEEDED}
    house.eraser.erase_open()
    assert set(states(house, *before, *after)) == {SUCCEEDED}
    assert house.model("m").sample_count == 0
    assert house.is_consistent("m")


def test_a_request_that_concerns_no_model_is_done_all_the_same(house: House) -> None:
    hold(house, "ada")
    assert house.ask(house.subjects("ada")).state is SUCCEEDED


def test_a_preview_says_that_it_would_wait(house: House) -> None:
    house.fill("m", ["ada"])
    hold(house, "ada")
    planned = house.intake.preview(request(house.subjects("ada")))
    assert (planned.state, counts(planned)) == (HELD, {"m": 2})


@pytest.mark.parametrize("kind", [SelectionKind.SAMPLES, SelectionKind.ALL_USER_DATA])
def test_samples_added_later_about_a_subject_on_hold_count(
    house: House, kind: SelectionKind
) -> None:
    house.fill("m", ["bob"], cohort=10)
    selection = house.samples("late", "bob-0") if kind is SelectionKind.SAMPLES else EVERYONE
    asked = house.ask(selection, "m")
    placed = hold(house, "ada")
    assert states(house, asked) == [PENDING]
    house.add("m", ("other", "bob"))
    assert states(house, asked) == [PENDING]
    house.add("m", ("late", "ada"))
    assert states(house, asked) == [HELD]
    house.holding.lift(placed)
    assert states(house, asked) == [PENDING]


def test_what_is_never_erased_needs_no_hold(house: House) -> None:
    house.fill("m", ["bob"])
    house.add("m", ("base", "ada"), retention=Retention.CORE)
    asked = house.ask(EVERYONE, "m")
    hold(house, "ada")
    assert states(house, asked) == [PENDING]


def test_every_hold_must_be_lifted_and_each_may_be_twice(house: House) -> None:
    house.fill("m", ["ada", "bob"])
    first, second, other = hold(house, "ada"), hold(house, "ada"), hold(house, "bob")
    asked = house.ask(house.subjects("ada", "bob"))
    lifted = house.holding.lift(first)
    assert lifted.lift_time is not None
    assert house.holding.lift(first) == lifted
    assert states(house, asked) == [HELD]
    house.holding.lift(other)
    assert states(house, asked) == [HELD]
    rings = house.to_erase.rings
    house.holding.lift(second)
    assert states(house, asked) == [PENDING]
    assert house.to_erase.rings > rings
    with house.database.read() as conn:
        listed = holds.page(conn, 0, 10)
        assert [each.hold_id for each in listed] == [first, second, other]
        assert holds.page(conn, listed[0].key, 1) == [listed[1]]
        with pytest.raises(ServiceError) as caught:
            holds.get(conn, "none")
    assert caught.value.reason is Reason.HOLD_NOT_FOUND


def test_whom_a_hold_was_on_is_forgotten_when_it_is_lifted(house: House) -> None:
    def kept() -> list[Any]:
        with house.database.read() as conn:
            return list(conn.scalars(sa.text("SELECT subject_hash FROM holds")))

    placed = hold(house, "ada")
    assert kept() == [house.keys.hash_subject("ada")]
    house.holding.lift(placed)
    assert kept() == [None]


def test_a_hold_placed_in_the_middle_undoes_the_batch_which_is_done_without_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.fill("m", ["ada", "bob"])
    asked = [house.ask(house.subjects(who)) for who in ("ada", "bob")]
    subtract = Removal.subtract

    def hold_and_subtract(*args: Any) -> None:
        hold(house, "ada")
        subtract(*args)

    with monkeypatch.context() as patched:
        patched.setattr(Removal, "subtract", hold_and_subtract)
        house.eraser.erase_open()
    assert states(house, *asked) == [HELD, PENDING]
    assert house.model("m").sample_count == 4
    house.eraser.erase_open()
    assert states(house, *asked) == [HELD, SUCCEEDED]
    assert house.is_consistent("m")


def test_outcomes_from_before_a_hold_are_kept_and_the_rest_waits(house: House) -> None:
    house.fill("a", ["ada", "bob"])
    house.fill("b", ["ada", "bob"], cohort=10)
    asked = house.ask(house.subjects("ada"))
    house.eraser.erase_open()
    assert states(house, asked) == [RUNNING]
    placed = hold(house, "ada")
    assert states(house, asked) == [HELD]
    assert counts(house.now(asked)) == {"a": 2}
    house.holding.lift(placed)
    house.ask(house.subjects("bob"), "b", receive_time=long_ago())
    house.eraser.erase_open()
    assert states(house, asked) == [SUCCEEDED]
    assert counts(house.now(asked)) == {"a": 2, "b": 2}


def test_what_needs_an_operator_is_held_too_and_is_tried_again(house: House) -> None:
    house.fill("m", ["ada"])
    asked = house.ask(house.samples("ada-0", "later"), "m")
    house.add("m", ("later", ""))  # CORE
    house.eraser.erase_open()
    assert states(house, asked) == [NEEDS_OPERATOR]
    placed = hold(house, "ada")
    assert states(house, asked) == [HELD]
    with pytest.raises(ServiceError) as caught:
        house.intake.retry(asked.request_id)
    assert caught.value.reason is Reason.ERASURE_STATE
    house.holding.lift(placed)
    house.eraser.erase_open()
    assert states(house, asked) == [NEEDS_OPERATOR]


def test_what_is_held_is_due_and_counted_and_may_be_withdrawn(house: House) -> None:
    house.fill("m", ["ada"])
    asked = house.ask(house.subjects("ada"), receive_time=long_ago())
    hold(house, "ada")
    house.eraser.erase_open()
    with house.database.read() as conn:
        assert erasures.has_open(conn, house.model("m").key)
        assert erasures.earliest_due(conn) == asked.due_time
        assert erasures.count_overdue(conn, datetime.now(UTC)) == 1
        assert erasures.count_by_state(conn) == {HELD: 1}
    assert house.intake.cancel(asked.request_id).state is CANCELLED


def long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(days=40)


PEOPLE, MODELS, NAMES = ("ada", "bob"), ("a", "b"), range(4)
some_models = st.lists(st.sampled_from(MODELS), min_size=1, unique=True)
person = st.sampled_from(PEOPLE)
name = st.sampled_from(NAMES)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(MODELS), name, person),
        st.tuples(st.just("hold"), person),
        st.tuples(st.just("lift"), st.integers(0, 5)),
        st.tuples(st.just("subject"), some_models, person),
        st.tuples(st.just("samples"), some_models, st.lists(name, min_size=1, max_size=2)),
        st.tuples(st.just("everyone"), some_models),
        st.tuples(st.just("erase")),
    ),
    min_size=3,
    max_size=12,
)


@dataclass
class World:
    """What the house should hold, kept by other means: names in sets."""

    house: House
    held: dict[tuple[str, int], str] = field(default_factory=dict)
    on_hold: list[tuple[str, str]] = field(default_factory=list)
    asked: list[tuple[Erasure, str, Any]] = field(default_factory=list)
    barred: set[tuple[str, str]] = field(default_factory=set)

    def take(self, step: tuple[Any, ...]) -> None:
        match step:
            case "add", model_id, number, who:
                if (model_id, number) not in self.held:
                    self.add(model_id, number, who)
            case "hold", who:
                self.on_hold.append((hold(self.house, who), who))
            case "lift", number:
                if number < len(self.on_hold):
                    self.house.holding.lift(self.on_hold.pop(number)[0])
            case "subject", where, who:
                self.ask("subject", where, who, self.house.subjects(who))
            case "samples", where, numbers:
                ids = [f"s{number}" for number in numbers]
                self.ask("samples", where, numbers, self.house.samples(*ids))
            case "everyone", where:
                self.ask("everyone", where, None, EVERYONE)
            case ("erase",):
                self.house.eraser.erase_open()
                self.forget()

    def add(self, model_id: str, number: int, who: str) -> None:
        if (model_id, who) in self.barred:
            with pytest.raises(ServiceError, match="was erased from this model"):
                self.house.add(model_id, (f"s{number}", who))
            return
        self.held[model_id, number] = who
        self.house.add(model_id, (f"s{number}", who))

    def ask(self, kind: str, where: list[str], what: Any, selection: Any) -> None:
        self.asked.append((self.house.ask(selection, *where), kind, what))

    def forget(self) -> None:
        done = [each for each in self.asked if not self.is_touched(*each)]
        for place in {place for each in done for place in self.named(*each)}:
            del self.held[place]
        self.asked = [each for each in self.asked if each not in done]
        for erasure, kind, what in done:
            self.barred |= {(model_id, what) for model_id in erasure.models if kind == "subject"}

    def named(self, erasure: Erasure, kind: str, what: Any) -> list[tuple[str, int]]:
        is_named = {
            "subject": lambda _, who: who == what,
            "samples": lambda number, _: number in what,
            "everyone": lambda *_: True,
        }[kind]
        return [
            (model_id, number)
            for (model_id, number), who in self.held.items()
            if model_id in erasure.models and is_named(number, who)
        ]

    def is_touched(self, erasure: Erasure, kind: str, what: Any) -> bool:
        people = {who for _, who in self.on_hold}
        touched = {self.held[place] for place in self.named(erasure, kind, what)}
        return bool(people & (touched | ({what} if kind == "subject" else set())))

    def check(self) -> None:
        for erasure, kind, what in self.asked:
            expected = HELD if self.is_touched(erasure, kind, what) else PENDING
            assert self.house.now(erasure).state is expected
        for model_id in MODELS:
            held = sum(place[0] == model_id for place in self.held)
            assert self.house.model(model_id).sample_count == held


@settings(max_examples=40)
@given(steps=steps)
def test_an_open_request_is_held_if_and_only_if_a_hold_applies_to_it(
    steps: list[tuple[Any, ...]],
) -> None:
    with TemporaryDirectory() as directory:
        house = House(Path(directory))
        for model_id in MODELS:
            house.fill(model_id, [], release=False)
        world = World(house)
        for step in steps:
            world.take(step)
            world.check()
        house.close()
