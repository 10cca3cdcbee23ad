"""Clients that add people, ask to forget them and predict, whatever happens to the server."""

import random
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Event, Thread

import grpc
import numpy as np

from inference.open_inference_grpc_pb2 import ModelInferRequest
from tests.faults.callers import CALL_SECONDS, MODELS, WIDTH, Caller
from tests.faults.servers import PATIENCE
from tests.faults.told import Asked, Told
from unlearn.v1.audit_pb2 import GetCheckpointRequest
from unlearn.v1.erasure_pb2 import (
    CancelErasureRequest,
    CreateErasureRequest,
    Erasure,
    Identifiers,
    Selection,
)


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
