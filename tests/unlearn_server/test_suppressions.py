"""Suppressions: who was erased by name stays out until that is lifted."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unlearn_server.cases import NOW
from tests.unlearn_server.house import EVERYONE, House
from unlearn_server.domain import Retention
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger import suppressions
from unlearn_server.ledger.schema import suppressions as table


def erase(house: House, selection: Any, *model_ids: str) -> None:
    house.ask(selection, *model_ids)
    house.eraser.erase_open()


def lift(house: House, model_id: str, who: str, reason: str = "is back") -> None:
    with house.database.write() as conn:
        suppressions.lift(
            conn, house.model(model_id).key, house.keys.hash_subject(who), reason, NOW
        )


def refusal(house: House, *names: tuple[str, str], **how: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        house.add("m", *names, **how)
    return caught.value


def test_who_was_erased_is_refused_until_that_is_lifted(house_on_either: House) -> None:
    house = house_on_either
    house.fill("m", ["ada", "bob"])
    house.fill("other", ["ada"])
    erase(house, house.subjects("ada"), "m")
    told = refusal(house, ("new", "bob"), ("back", "ada"))
    assert (told.reason, told.field) == (Reason.SUBJECT_SUPPRESSED, "samples.subject_id")
    assert told.metadata == {"sample": "1"}
    assert "ada" not in str(told)
    assert house.model("m").sample_count == 2  # nothing of the message was taken
    house.add("other", ("again", "ada"))
    lift(house, "m", "ada")
    lift(house, "m", "ada", "twice")
    house.add("m", ("new", "bob"), ("back", "ada"))
    assert house.model("m").sample_count == 4
    erase(house, house.subjects("ada"), "m")
    refusal(house, ("back", "ada"))
    with house.database.read() as conn:
        kept = conn.execute(sa.select(table.c.lift_time, table.c.lift_reason).order_by(table.c.key))
        assert kept.all() == [(NOW, "is back"), (None, None)]


def test_samples_kept_as_core_count_and_so_do_subjects_who_were_not_held(house: House) -> None:
    house.fill("m", ["bob"])
    erase(house, house.subjects("ada"), "m")
    told = refusal(house, ("base", "ada"), retention=Retention.CORE)
    assert told.reason is Reason.SUBJECT_SUPPRESSED


def test_other_erasures_bar_nobody(house: House) -> None:
    house.fill("m", ["ada", "bob"])
    erase(house, house.samples("ada-0"), "m")
    house.add("m", ("ada-0", "ada"))
    erase(house, EVERYONE, "m")
    house.add("m", ("ada-0", "ada"), ("bob-0", "bob"))
    assert house.model("m").sample_count == 2


def test_what_was_not_carried_out_bars_nobody(house: House) -> None:
    house.fill("m", ["ada"], cohort=5)
    erase(house, house.subjects("ada"), "m")  # waits for its cohort
    house.add("m", ("more", "ada"))
    with pytest.raises(ServiceError) as caught:
        lift(house, "m", "ada")
    assert caught.value.reason is Reason.SUPPRESSION_NOT_FOUND


def test_a_sample_that_is_held_may_be_sent_again_whoever_is_barred(house: House) -> None:
    house.fill("m", ["bob"])
    erase(house, house.subjects("ada"), "m")
    house.add("m", ("bob-0", "bob"))
    assert house.model("m").sample_count == 2


PEOPLE, MODELS = ("ada", "bob"), ("m", "n")
person, model = st.sampled_from(PEOPLE), st.sampled_from(MODELS)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), model, person),
        st.tuples(st.just("erase"), model, st.sets(person, min_size=1)),
        st.tuples(st.just("lift"), model, person),
    ),
    max_size=10,
)


@dataclass
class World:
    """Whom the house should bar from where, kept by other means."""

    house: House
    barred: set[tuple[str, str]] = field(default_factory=set)
    ever: set[tuple[str, str]] = field(default_factory=set)

    def take(self, number: int, step: tuple[Any, ...]) -> None:
        match step:
            case "add", where, who:
                self.expect((where, who) in self.barred, self.add, where, number, who)
            case "erase", where, people:
                erase(self.house, self.house.subjects(*people), where)
                self.barred |= {(where, who) for who in people}
                self.ever |= self.barred
            case "lift", where, who:
                self.expect((where, who) not in self.ever, lift, self.house, where, who)
                self.barred.discard((where, who))

    def add(self, where: str, number: int, who: str) -> None:
        self.house.add(where, (str(number), who))

    def expect(self, is_refused: bool, call: Any, *args: Any) -> None:
        with pytest.raises(ServiceError) if is_refused else nullcontext():
            call(*args)


@settings(max_examples=25)
@given(steps=steps)
def test_a_subject_is_refused_if_and_only_if_erased_since_the_last_lift(
    steps: list[tuple[Any, ...]],
) -> None:
    with TemporaryDirectory() as directory:
        house = House(Path(directory))
        for model_id in MODELS:
            house.fill(model_id, [], release=False)
        world = World(house)
        for number, step in enumerate(steps):
            world.take(number, step)
        house.close()
