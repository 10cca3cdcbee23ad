"""Who is there, and what the server has acknowledged: the outside view of the load."""

from collections.abc import Sequence
from random import Random

from tests.benchmarks.sustained.answers import OK, OVERLOADED, Answer
from tests.benchmarks.sustained.arrivals import Operation
from tests.benchmarks.sustained.people import CLASSES, CORE, MODEL, MODEL_ID, ROWS, samples_of
from tests.faults.callers import CALL_SECONDS, Caller
from tests.faults.told import Asked, Told
from unlearn.v1.erasure_pb2 import Erasure
from unlearn.v1.model_pb2 import CreateModelRequest, Model

POPULATION = 5000
_AT_ONCE = 500


class Book:
    """What the checker needs to know.

    Attributes:
        told: all that was acknowledged.
        present: people who are held and were not asked to be forgotten, by number.
        newcomer: from this number on nobody was ever added.
    """

    def __init__(self, address: str, people: int = POPULATION) -> None:
        """Makes the model, with so many people in it."""
        self.told = Told()
        self._caller = Caller(address, self.told, Random(1))
        self.present = dict.fromkeys(range(people))
        self.newcomer = people
        self._doubtful: list[int] = []
        model = Model(core=CORE, classes=CLASSES)
        create = CreateModelRequest(model_id=MODEL_ID, model=model)
        self._caller.stubs.models.CreateModel(create, timeout=CALL_SECONDS)
        for start in range(0, people, _AT_ONCE):
            self._add(range(start, min(start + _AT_ONCE, people)))
        self._caller.release(MODEL)

    def enter(self, answers: Sequence[Answer]) -> None:
        """What was refused must not have been done; what is in doubt is settled later."""
        for answer in answers:
            if answer.person is None:
                continue
            if answer.operation is Operation.ADD:
                self._enter_addition(answer.person, answer.code)
            elif answer.code != OVERLOADED:
                self._enter_erasure(answer)

    def _enter_addition(self, person: int, code: str) -> None:
        self.newcomer = max(self.newcomer, person + 1)
        if code == OK:
            samples = samples_of(person)
            self.told.samples[MODEL].update((each.sample_id, each) for each in samples)
            self.present[person] = None
        elif code != OVERLOADED:
            self._doubtful.append(person)

    def _enter_erasure(self, answer: Answer) -> None:
        samples = {f"{answer.person}-{i}" for i in range(ROWS)}
        asked = Asked(answer.request, {MODEL: samples})
        if answer.code == OK:
            asked.accepted = Erasure(name=asked.name)
        self.told.asked.append(asked)
        del self.present[answer.person]

    def settle(self) -> None:
        """Makes the additions whose answer was lost again, as callers should."""
        self._add(self._doubtful)
        self._doubtful.clear()

    def _add(self, people: Sequence[int]) -> None:
        self._caller.add(MODEL, [each for person in people for each in samples_of(person)])
