"""Whatever is done to models, and in whatever order, they are what remains makes them."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from unlearn.v1.erasure_pb2 import CreateErasureRequest, Erasure
from unlearn.v1.model_pb2 import Features, Sample
from unlearn_client import Selection, UnlearnError

NOW, LATER = "now", "later"  # the latter waits for a cohort that never comes together
CLASSES = ["cat", "dog"]
WIDTH = 3
SALT = bytes(range(32))
NEVER = 1000
GROUND = "gdpr-17-3-b"

PEOPLE = ["ada", "bob", "cyd"]
NAMES = range(24)

people = st.sampled_from(PEOPLE)
names = st.sampled_from(NAMES)
editions = st.sampled_from([0, 0, 0, 0, 0, 0, 0, 1])  # the same content, as a rule
rows = st.lists(st.tuples(names, editions), min_size=1, max_size=6)
where = st.sampled_from([(NOW,), (LATER,), (NOW, LATER), ()])


class Held:
    """What one model should hold, by the id of each sample; in order, as the server's rows."""

    def __init__(self) -> None:
        self.samples: dict[str, Sample] = {}
        self.released: list[Sample] | None = None
        self.barred: set[str] = set()

    def matching(self, request: CreateErasureRequest) -> list[str]:
        by = request.erasure.selection
        return [
            sample_id
            for sample_id, sample in self.samples.items()
            if sample.retention == Sample.USER
            and (
                by.all_user_data
                or sample.subject_id in by.subjects.ids
                or sample_id in by.samples.ids
            )
        ]

    def has_core(self, request: CreateErasureRequest) -> bool:
        return any(
            self.samples[sample_id].retention == Sample.CORE
            for sample_id in request.erasure.selection.samples.ids
            if sample_id in self.samples
        )

    def erase(self, request: CreateErasureRequest) -> int:
        gone = self.matching(request)
        for sample_id in gone:
            del self.samples[sample_id]
        if gone and self.released is not None:
            self.released = list(self.samples.values())
        self.barred.update(request.erasure.selection.subjects.ids)
        return len(gone)


class Accepted:
    """An acknowledged request: what it still has to do, and what it did where."""

    def __init__(self, request: CreateErasureRequest, models: list[str], due: bool) -> None:
        self.request = request
        self.due = due
        self.open = models
        self.erased: dict[str, int] = {}
        self.ended: int | None = None
        self.is_held = False
        self.was_held = False

    @property
    def state(self) -> int:
        if self.ended is not None:
            return self.ended
        if not self.open:
            return Erasure.SUCCEEDED
        if self.is_held:
            return Erasure.HELD
        # What is let go on is PENDING until its next outcome.
        return Erasure.RUNNING if self.erased and not self.was_held else Erasure.PENDING


class World:
    """One server for all examples, each of which has models and people of its own."""

    def __init__(
        self, open_server: Callable[[Path], AbstractContextManager[Any]], data_dir: Path
    ) -> None:
        self._open = open_server
        self.data_dir = data_dir
        self._stack = ExitStack()
        self.examples = count()
        self.start()

    def start(self) -> None:
        self.server = self._stack.enter_context(self._open(self.data_dir))

    def stop(self) -> None:
        self._stack.close()


def of_another(sample: Sample) -> Sample:
    """The same about somebody else: a model with a sample of who is on hold is not deleted."""
    copy = Sample()
    copy.CopyFrom(sample)
    copy.subject_id = sample.subject_id and f"not {sample.subject_id}"
    return copy


class Machine(RuleBasedStateMachine):
    def __init__(self, world: World, truth_of: Callable[..., Any]) -> None:
        super().__init__()
        self.world = world
        self.truth_of = truth_of
        self.tag = f"x{next(world.examples)}"
        self.held = {NOW: Held(), LATER: Held()}
        self.accepted: dict[str, Accepted] = {}
        self.on_hold: dict[str, str] = {}
        self.refused: dict[str, str] = {}

    @property
    def client(self) -> Any:
        return self.world.server.client

    def own(self, word: str) -> str:
        return f"{self.tag}-{word}"

    @initialize(now=rows, later=rows, released=st.booleans())
    def create(self, now: list[Any], later: list[Any], released: bool) -> None:
        for name, cohort, rows in ((NOW, 0, now), (LATER, NEVER, later)):
            model = self.client.create_model(
                self.own(name), f"features:{WIDTH}", CLASSES, minimum_cohort=cohort
            )
            self.add(name, rows)
            if released:
                self.release(name)
        self.truth = self.truth_of(model)

    def sample(self, number: int, edition: int) -> Sample:
        """Every eighth is CORE; one person has every third of the others."""
        is_core = number % 8 == 0
        rng = np.random.default_rng(number + 100 * edition)
        return Sample(
            sample_id=self.own(f"s{number}"),
            subject_id="" if is_core else self.own(PEOPLE[number % len(PEOPLE)]),
            features=Features(values=rng.normal(scale=3, size=WIDTH).astype(np.float32)),
            label=int(rng.integers(len(CLASSES))),
            retention=Sample.CORE if is_core else Sample.USER,
        )

    @rule(name=st.sampled_from([NOW, LATER]), rows=rows)
    def add(self, name: str, rows: list[tuple[int, int]]) -> None:
        """Ids repeat, within a message and with what is held: only other content is refused."""
        held = self.held[name].samples
        # CORE that an open request names would send it to the operator: tested elsewhere.
        awaited = self.awaited(name)
        samples = [s for s in (self.sample(*row) for row in rows) if s.sample_id not in awaited]
        new = dict(held)
        taken = any(new.setdefault(s.sample_id, s) != s for s in samples)
        if taken:
            with pytest.raises(UnlearnError) as refused:
                self.client.add_samples(self.own(name), samples)
            assert refused.value.reason == "SAMPLE_EXISTS"
            return
        if self.held[name].barred & {new[own].subject_id for own in new.keys() - held.keys()}:
            with pytest.raises(UnlearnError) as refused:
                self.client.add_samples(self.own(name), samples)
            assert refused.value.reason == "SUBJECT_SUPPRESSED"
            return
        response = self.client.add_samples(self.own(name), samples)
        assert response.added == len(new) - len(held)
        assert response.added + response.unchanged == len(samples)
        held.update(new)
        self.hold_up()

    @precondition(lambda self: any(held.barred for held in self.held.values()))
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        barred = [(name, person) for name in self.held for person in self.held[name].barred]
        name, person = data.draw(st.sampled_from(sorted(barred)))
        self.client.lift_suppression(self.own(name), person, "came back")
        self.held[name].barred.remove(person)

    def awaited(self, name: str) -> set[str]:
        """The CORE samples, not held, that requests which wait in a model name."""
        return {
            sample_id
            for accepted in self.accepted.values()
            if name in accepted.open and accepted.ended is None
            for sample_id in accepted.request.erasure.selection.samples.ids
            if sample_id in {self.own(f"s{number}") for number in NAMES if number % 8 == 0}
        }

    @rule(name=st.sampled_from([NOW, LATER]))
    def release(self, name: str) -> None:
        held = self.held[name]
        release = self.client.create_release(self.own(name))
        held.released = list(held.samples.values())
        assert release.sample_count == len(held.released)

    @rule(people=st.lists(people, min_size=1, max_size=2), where=where)
    def erase_subjects(self, people: list[str], where: tuple[str, ...]) -> None:
        self.erase([self.request(Selection.subjects(map(self.own, people)), where)])

    @rule(names=st.lists(names, min_size=1, max_size=3), where=where)
    def erase_samples(self, names: list[int], where: tuple[str, ...]) -> None:
        self.erase([self.request(self.named(names), where)])

    @rule(where=where.filter(bool), method=st.sampled_from([Erasure.EXACT, Erasure.ZERO]))
    def erase_everyone(self, where: tuple[str, ...], method: Any) -> None:
        self.erase([self.request(Selection.all_user_data(), where, method)])

    # Models are named: which others hold a match depends on how far the first has come.
    @rule(person=people, names=st.lists(names, min_size=1, max_size=3), where=where.filter(bool))
    def erase_in_a_hurry(self, person: str, names: list[int], where: tuple[str, ...]) -> None:
        """Requests that overlap are sent before the first is done; each row counts once."""
        self.erase(
            [
                self.request(Selection.subjects([self.own(person)]), where),
                self.request(self.named(names), where),
                self.request(Selection.subjects([self.own(person), "nobody"]), where),
            ]
        )

    @rule(person=people)
    def erase_at_last_call(self, person: str) -> None:
        """What is due takes with it all that waits for a cohort."""
        long_ago = datetime.now(UTC) - timedelta(days=40)
        request = self.request(Selection.subjects([self.own(person)]), (LATER,))
        request.erasure.receive_time.FromDatetime(long_ago)
        self.erase([request], due=True)

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        """A repeated request id is the first request as it stands."""
        accepted = self.accepted[data.draw(st.sampled_from(list(self.accepted)))]
        again = self.world.server.erasures.CreateErasure(accepted.request)
        assert again.state == accepted.state

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(self.accepted)))
        accepted = self.accepted[name]
        if accepted.state in {Erasure.PENDING, Erasure.HELD, Erasure.CANCELLED}:
            assert self.client.cancel_erasure(name).state == Erasure.CANCELLED
            accepted.ended = Erasure.CANCELLED
        else:
            with pytest.raises(UnlearnError) as refused:
                self.client.cancel_erasure(name)
            assert refused.value.reason == "ERASURE_STATE"

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(self.accepted)))
        accepted = self.accepted[name]
        if accepted.state in {Erasure.PENDING, Erasure.HELD, Erasure.REFUSED}:
            refused = self.client.refuse_erasure(name, GROUND, "as the law demands")
            assert refused.state == Erasure.REFUSED
            self.refused[name] = refused.certificate
            accepted.ended = Erasure.REFUSED
        else:
            with pytest.raises(UnlearnError) as refused:
                self.client.refuse_erasure(name, GROUND, "as the law demands")
            assert refused.value.reason == "ERASURE_STATE"

    @rule(person=people)
    def hold(self, person: str) -> None:
        placed = self.client.place_hold(self.own(person), "a lawsuit")
        self.on_hold[placed.name] = self.own(person)
        self.hold_up()

    @precondition(lambda self: self.on_hold)
    @rule(data=st.data())
    def lift(self, data: st.DataObject) -> None:
        self.lift_hold(data.draw(st.sampled_from(list(self.on_hold))))

    def lift_hold(self, hold: str) -> None:
        assert self.client.lift_hold(hold).HasField("lift_time")
        del self.on_hold[hold]
        waited = [name for name, each in self.accepted.items() if each.is_held]
        self.hold_up()
        self.go_on([name for name in waited if not self.accepted[name].is_held])

    def hold_up(self) -> None:
        """What may be done now, and what must wait."""
        for accepted in self.accepted.values():
            accepted.is_held = accepted.ended is None and self.is_touched(accepted)
            accepted.was_held |= accepted.is_held

    def is_touched(self, accepted: Accepted) -> bool:
        people = set(self.on_hold.values())
        named = set(accepted.request.erasure.selection.subjects.ids) if accepted.open else set()
        touched = {
            self.held[model].samples[sample_id].subject_id
            for model in accepted.open
            for sample_id in self.held[model].matching(accepted.request)
        }
        return bool(people & (named | touched))

    @rule()
    def restart(self) -> None:
        self.world.stop()
        self.world.start()

    def named(self, numbers: list[int]) -> Any:
        return Selection.samples(self.own(f"s{number}") for number in numbers)

    def request(
        self, selection: Any, where: tuple[str, ...], method: Any = Erasure.METHOD_UNSPECIFIED
    ) -> CreateErasureRequest:
        models = [f"models/{self.own(name)}" for name in where]
        erasure = Erasure(selection=selection, models=models, method=method)
        return CreateErasureRequest(request_id=str(uuid4()), erasure=erasure)

    def erase(self, requests: list[CreateErasureRequest], due: bool = False) -> None:
        sent = [name for request in requests if (name := self.send(request, due))]
        self.hold_up()
        self.go_on(sent)

    def go_on(self, names: list[str]) -> None:
        """Requests that nothing holds up are carried out, as far as they need not wait."""
        if any(each.due and each.state == Erasure.PENDING for each in self.accepted.values()):
            for accepted in self.accepted.values():
                self.carry_out(accepted, LATER)
        for name in names:
            self.carry_out(self.accepted[name], NOW)
            if self.accepted[name].state == Erasure.SUCCEEDED:
                self.client.wait_for_erasure(name)
            else:  # the part of it that need not wait
                done = len(self.accepted[name].erased)
                for erasure in self.client.watch_erasure(name):
                    if len(erasure.outcomes) == done:
                        break
        if any(self.accepted[name].erased for name in names):
            self.same_as_fresh_models()

    def send(self, request: CreateErasureRequest, due: bool) -> str:
        """Sends a request; where several models are not named, those with a match are meant."""
        named = [name for name in (NOW, LATER) if self.own(name) in str(request.erasure.models)]
        targets = named or [n for n in (LATER, NOW) if self.matches(n, request)]
        if any(self.held[name].has_core(request) for name in targets):
            with pytest.raises(grpc.RpcError) as refused:
                self.world.server.erasures.CreateErasure(request)
            assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            return ""
        erasure = self.world.server.erasures.CreateErasure(request)
        assert sorted(erasure.models) == sorted(f"models/{self.own(name)}" for name in targets)
        self.accepted[erasure.name] = Accepted(request, list(targets), due)
        return erasure.name

    def matches(self, name: str, request: CreateErasureRequest) -> bool:
        return bool(self.held[name].matching(request)) or self.held[name].has_core(request)

    def carry_out(self, accepted: Accepted, name: str) -> None:
        if name in accepted.open and accepted.ended is None and not accepted.is_held:
            accepted.open.remove(name)
            accepted.was_held = False
            accepted.erased[name] = self.held[name].erase(accepted.request)

    def same_as_fresh_models(self) -> None:
        """A model given only what remains, in another order, is the same to the last bit."""
        for name, held in self.held.items():
            if held.released != list(held.samples.values()):
                continue
            fresh = f"{self.own(name)}-{uuid4().hex[:8]}"
            self.client.create_model(fresh, f"features:{WIDTH}", CLASSES)
            shuffled = random.sample(held.released, len(held.released))
            self.client.add_samples(fresh, map(of_another, shuffled))
            self.client.create_release(fresh)
            ours = self.client.audit_model(self.own(name), SALT)
            theirs = self.client.audit_model(fresh, SALT)
            self.client.delete_model(fresh)  # or later requests would find their samples in it
            assert ours.consistent
            assert ours == theirs

    @invariant()
    def holds_and_serves_what_it_should(self) -> None:
        for name, held in self.held.items():
            model = self.client.get_model(self.own(name))
            people = {s.subject_id for s in held.samples.values() if s.subject_id}
            assert (model.sample_count, model.subject_count) == (len(held.samples), len(people))
            audit = self.client.audit_model(self.own(name), SALT)
            assert audit.consistent
            assert audit.samples == len(held.samples)
            served = b"" if held.released is None else self.truth.commitment(SALT, held.released)
            assert audit.weights_commitment_served == served

    @invariant()
    def predicts_with_the_latest_release(self) -> None:
        features = np.array([[1.5, -0.25, 3.0]], np.float32)
        for name, held in self.held.items():
            expected = np.zeros((1, len(CLASSES)))
            if held.released is not None:
                expected = self.truth.logits(held.released, features)
            logits = self.client.predict(self.own(name), features=features).logits
            np.testing.assert_allclose(logits, expected, rtol=1e-6, atol=1e-6)

    @invariant()
    def every_acknowledged_erasure_was_recorded_once(self) -> None:
        for name, accepted in self.accepted.items():
            erasure = self.client.get_erasure(name)
            assert erasure.state == accepted.state
            outcomes = [(o.model, o.erased_samples) for o in erasure.outcomes]
            assert erasure.certificate == self.refused.get(name, "")
            expected = {f"models/{self.own(n)}": k for n, k in accepted.erased.items()}
            assert sorted(outcomes) == sorted(expected.items())

    def teardown(self) -> None:
        """No erasure is open when the next example begins, and none was made up."""
        for hold in list(self.on_hold):
            self.lift_hold(hold)
        for name, accepted in self.accepted.items():
            if accepted.state == Erasure.PENDING:
                self.client.cancel_erasure(name)
                accepted.ended = Erasure.CANCELLED
        if LATER in {name for accepted in self.accepted.values() for name in accepted.open}:
            self.erase_at_last_call("ada")
            self.every_acknowledged_erasure_was_recorded_once()
        with closing(sqlite3.connect(self.world.data_dir / "unlearn.db")) as database:
            recorded = database.execute(
                "SELECT COUNT(DISTINCT erasure_key), COUNT(*) FROM outcomes JOIN models"
                " ON models.key = model_key WHERE model_id IN (?, ?)",
                (self.own(NOW), self.own(LATER)),
            ).fetchone()
        done = [accepted for accepted in self.accepted.values() if accepted.erased]
        assert recorded == (len(done), sum(len(accepted.erased) for accepted in done))
        for name, accepted in self.accepted.items():
            logged = [each.name for each in self.client.list_certificates(erasure=name)]
            assert len(logged) == len(set(logged)) == len(accepted.erased) + (name in self.refused)


def test_any_history_of_adding_erasing_and_restarting_leaves_what_remains_would_make(
    open_server: Callable[[Path], AbstractContextManager[Any]],
    truth_of: Callable[..., Any],
    tmp_path: Path,
) -> None:
    world = World(open_server, tmp_path / "data")
    try:
        run_state_machine_as_test(
            lambda: Machine(world, truth_of),
            settings=settings(
                max_examples=15,
                stateful_step_count=15,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        world.stop()
