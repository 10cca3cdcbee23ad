"""Clients that add people, ask to forget them and predict, whatever happens to the server.

A call whose answer is lost is made again with the same request id, as callers should. Each
client knows what it was told; together that is all the checker needs to know.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Event, Lock, Thread
from time import sleep
from uuid import UUID

import grpc
import numpy as np
from grpc_status import rpc_status

from inference.open_inference_grpc_pb2 import ModelInferRequest
from tests.faults.servers import PATIENCE, Stubs
from unlearn.v1.audit_pb2 import GetCheckpointRequest
from unlearn.v1.erasure_pb2 import (
    CancelErasureRequest,
    CreateErasureRequest,
    Erasure,
    GetErasureRequest,
    Identifiers,
    RetryErasureRequest,
    Selection,
)
from unlearn.v1.model_pb2 import (
    AddSamplesRequest,
    CreateModelRequest,
    CreateReleaseRequest,
    Features,
    Model,
    Sample,
)

MODELS = ("models/a", "models/b")
CORE, WIDTH = "features:4", 4
CLASSES = ("cat", "dog", "bird")
CALL_SECONDS = 20.0

PASSING = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN,
}
"""What a server in trouble answers, or nobody: the caller cannot tell what was done."""


@dataclass
class Asked:
    """A request to forget one person or some samples, and what its caller was told.

    Attributes:
        samples: by model, how many it names there.
        accepted: None while nobody has answered, and for good if its caller gave up then.
        withdrawn: whether a cancellation was confirmed (True) or came too late (False).
        done: the erasure as a caller first saw it SUCCEEDED.
    """

    request: CreateErasureRequest
    samples: dict[str, set[str]]
    accepted: Erasure | None = None
    withdrawn: bool | None = None
    done: Erasure | None = None

    @property
    def name(self) -> str:
        return f"erasures/{self.request.request_id}"


@dataclass
class Told:
    """All that the world outside knows. Clients append to it at the same time.

    Attributes:
        samples: by model, what it acknowledged, by sample id.
        asked: every request to forget.
        checkpoints: every note that the log has shown.
        violations: answers that must never be given.
        calls: how many were answered.
        retries: how many had to be made again.
    """

    samples: defaultdict[str, dict[str, Sample]] = field(default_factory=lambda: defaultdict(dict))
    asked: list[Asked] = field(default_factory=list)
    checkpoints: set[bytes] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    calls: int = 0
    retries: int = 0
    predictions: int = 0
    refused: int = 0
    _floor: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _lock: Lock = field(default_factory=Lock)

    def saw_release(self, model: str, number: int) -> None:
        """From now on nothing older may answer."""
        with self._lock:
            self._floor[model] = max(self._floor[model], number)

    def floor(self, model: str) -> int:
        with self._lock:
            return self._floor[model]

    def count(self, *, calls: int = 0, retries: int = 0, predictions: int = 0, refused: int = 0):
        with self._lock:
            self.calls += calls
            self.retries += retries
            self.predictions += predictions
            self.refused += refused

    def saw_done(self, asked: Asked, erasure: Erasure) -> None:
        asked.done = asked.done or erasure
        for outcome in erasure.outcomes:
            if outcome.release_after:
                self.saw_release(outcome.model, int(outcome.release_after.rpartition("/")[2]))


class Caller:
    """One channel, and calls that go through in the end."""

    def __init__(self, address: str, told: Told, rng: random.Random) -> None:
        self.stubs = Stubs(address)
        self.told = told
        self.rng = rng

    def insist(self, call: Callable[[], object], expected: Sequence[grpc.StatusCode] = ()):
        """Calls until there is an answer; None for one of the refusals that are expected."""
        for attempt in count():
            try:
                answer = call()
            except grpc.RpcError as error:
                if error.code() in expected:
                    return None
                if error.code() not in PASSING:
                    self.told.violations.append(f"refused: {error.code()} {error.details()}")
                    raise
                self.told.count(retries=1, refused=_is_refusal(error))
                sleep(min(0.02 * 2**attempt, 0.3) * self.rng.uniform(0.5, 1))
            else:
                self.told.count(calls=1)
                return answer
        raise AssertionError

    def uuid(self) -> str:
        return str(UUID(int=self.rng.getrandbits(128), version=4))

    def get(self, asked: Asked) -> Erasure:
        request = GetErasureRequest(name=asked.name)
        return self.insist(lambda: self.stubs.erasures.GetErasure(request, timeout=CALL_SECONDS))

    def add(self, model: str, samples: Sequence[Sample]) -> None:
        message = AddSamplesRequest(model=model, samples=samples)
        answer = self.insist(
            lambda: self.stubs.models.AddSamples(iter([message]), timeout=CALL_SECONDS)
        )
        if answer.added + answer.unchanged != len(samples):
            self.told.violations.append(f"{len(samples)} samples were counted as {answer}")
        self.told.samples[model].update((sample.sample_id, sample) for sample in samples)

    def release(self, model: str) -> None:
        request = CreateReleaseRequest(model=model, request_id=self.uuid())
        answer = self.insist(lambda: self.stubs.models.CreateRelease(request, timeout=CALL_SECONDS))
        self.told.saw_release(model, int(answer.name.rpartition("/")[2]))

    def sample(self, sample_id: str, subject_id: str = "") -> Sample:
        values = [self.rng.gauss(0, 1) for _ in range(WIDTH)]
        return Sample(
            sample_id=sample_id,
            subject_id=subject_id,
            features=Features(values=np.array(values, np.float32)),
            label=self.rng.randrange(len(CLASSES)),
            retention=Sample.USER if subject_id else Sample.CORE,
        )

    def found(self) -> None:
        """Makes the models, with some samples that stay."""
        for model in MODELS:
            create = CreateModelRequest(
                model_id=model.removeprefix("models/"), model=Model(core=CORE, classes=CLASSES)
            )
            exists = [grpc.StatusCode.ALREADY_EXISTS]
            self.insist(
                lambda create=create: self.stubs.models.CreateModel(create, timeout=CALL_SECONDS),
                exists,
            )
            self.add(model, [self.sample(f"core-{i}") for i in range(6)])
            self.release(model)


class Client(Thread):
    """Adds one person after another, and asks to forget most of them, until told to stop."""

    def __init__(self, name: str, address: str, told: Told, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self._caller = Caller(address, told, random.Random(seed))
        self._told = told
        self._rng = self._caller.rng
        self._stopping = Event()
        self._present: list[str] = []
        self._watched: list[Asked] = []

    def stop(self) -> None:
        """Lets the call in hand go through, and ends."""
        self._stopping.set()

    def run(self) -> None:
        try:
            for number in count():
                if self._stopping.is_set():
                    return
                self._add(f"{self.name}-{number}")
                if self._rng.random() < 0.85:
                    self._forget(self._present.pop(self._rng.randrange(len(self._present))))
                if self._rng.random() < 0.1:
                    self._caller.release(self._rng.choice(MODELS))
                self._look()
        except Exception as error:
            self._told.violations.append(f"a client ended: {type(error).__name__}: {error}")

    def _add(self, person: str) -> None:
        for model in MODELS:
            samples = [self._caller.sample(f"{person}-{i}", person) for i in range(2)]
            self._caller.add(model, samples)
        self._present.append(person)

    def _forget(self, person: str) -> None:
        asked = self._asked(person)
        self._told.asked.append(asked)
        erasures = self._caller.stubs.erasures
        if self._rng.random() < 0.1:  # asks once, and never comes back
            with suppress(grpc.RpcError):
                asked.accepted = erasures.CreateErasure(asked.request, timeout=CALL_SECONDS)
            return
        for _ in range(self._rng.choice((1, 1, 1, 2))):  # who is in doubt asks twice
            asked.accepted = self._caller.insist(
                lambda: erasures.CreateErasure(asked.request, timeout=CALL_SECONDS)
            )
        if self._rng.random() < 0.15:
            self._withdraw(asked)
        self._watched.append(asked)

    def _asked(self, person: str) -> Asked:
        models = self._rng.choice(([], ["models/a"], ["models/b"], list(MODELS)))
        one = self._rng.random() < 0.2
        selection = (
            Selection(samples=Identifiers(ids=[f"{person}-0"]))
            if one
            else Selection(subjects=Identifiers(ids=[person]))
        )
        names = {f"{person}-0"} if one else {f"{person}-{i}" for i in range(2)}
        return Asked(
            CreateErasureRequest(
                request_id=self._caller.uuid(),
                erasure=Erasure(selection=selection, models=models),
                commitment_salt=self._rng.randbytes(32),
            ),
            dict.fromkeys(models or MODELS, names),
        )

    def _withdraw(self, asked: Asked) -> None:
        request = CancelErasureRequest(name=asked.name)
        cancel = self._caller.stubs.erasures.CancelErasure
        late = [grpc.StatusCode.FAILED_PRECONDITION]
        answer = self._caller.insist(lambda: cancel(request, timeout=CALL_SECONDS), late)
        asked.withdrawn = answer is not None

    def _look(self) -> None:
        """At some of the requests that are open, then at what is served."""
        for asked in self._watched[:]:
            erasure = self._caller.get(asked)
            if erasure.state == Erasure.SUCCEEDED:
                self._told.saw_done(asked, erasure)
            if erasure.state not in {Erasure.PENDING, Erasure.RUNNING}:
                self._watched.remove(asked)


class Onlooker(Thread):
    """Predicts, and keeps every checkpoint that it sees."""

    def __init__(self, address: str, told: Told, log: Path, seed: int) -> None:
        super().__init__(name="onlooker", daemon=True)
        self._caller = Caller(address, told, random.Random(seed))
        self._told = told
        self._log = log
        self._stopping = Event()

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                for model in MODELS:
                    self._predict(model)
                self._look_at_the_log()
        except Exception as error:
            self._told.violations.append(f"an onlooker ended: {type(error).__name__}: {error}")

    def _predict(self, model: str) -> None:
        values = np.zeros((1, WIDTH), "<f4")
        tensor = ModelInferRequest.InferInputTensor(
            name="features", datatype="FP32", shape=values.shape
        )
        request = ModelInferRequest(
            model_name=model.removeprefix("models/"),
            inputs=[tensor],
            raw_input_contents=[values.tobytes()],
        )
        infer = self._caller.stubs.inference.ModelInfer

        def predict() -> tuple[int, int]:
            floor = self._told.floor(model)
            return floor, int(infer(request, timeout=CALL_SECONDS).model_version or 0)

        floor, number = self._caller.insist(predict)
        self._told.count(predictions=1)
        if number < floor:
            self._told.violations.append(f"{model}: release {number} answered after {floor}")

    def _look_at_the_log(self) -> None:
        get = self._caller.stubs.audits.GetCheckpoint
        answer = self._caller.insist(lambda: get(GetCheckpointRequest(), timeout=CALL_SECONDS))
        self._told.checkpoints.add(answer.note)
        if (published := self._log / "checkpoint").exists():
            self._told.checkpoints.add(published.read_bytes())


def load(address: str, told: Told, log: Path, seed: int, clients: int) -> Callable[[], None]:
    """Sets clients and an onlooker to work; answers what ends them, once all was answered."""
    threads = [
        *(Client(f"p{i}", address, told, seed + i) for i in range(clients)),
        Onlooker(address, told, log, seed + clients),
    ]
    for thread in threads:
        thread.start()

    def stop() -> None:
        for thread in threads:
            thread.stop()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), f"{thread.name} waits for an answer"

    return stop


def settle(caller: Caller, asked: Asked) -> Erasure | None:
    """A request once nothing more happens to it; None if it was never accepted."""
    request = GetErasureRequest(name=asked.name)
    retry = RetryErasureRequest(name=asked.name)
    erasures = caller.stubs.erasures
    unknown = [grpc.StatusCode.NOT_FOUND] if asked.accepted is None else []
    for _ in range(3000):
        erasure = caller.insist(lambda: erasures.GetErasure(request, timeout=20), unknown)
        if erasure is None or erasure.state in {Erasure.SUCCEEDED, Erasure.CANCELLED}:
            return erasure
        if erasure.state == Erasure.NEEDS_OPERATOR:
            caller.insist(
                lambda: erasures.RetryErasure(retry, timeout=20),
                [grpc.StatusCode.FAILED_PRECONDITION],
            )
        sleep(0.02)
    raise AssertionError(f"{asked.name} is not carried out: {erasure}")


def _is_refusal(error: grpc.RpcError) -> int:
    """1 for an overloaded server's answer, which says when to come again."""
    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return 0
    status = rpc_status.from_call(error)
    return int(any("RetryInfo" in detail.type_url for detail in status.details)) if status else 0
