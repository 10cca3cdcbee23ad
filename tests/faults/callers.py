"""Calls that go through in the end, whatever happens to the server.

One whose answer is lost is made again with the same request id, as callers should.
"""

import random
from collections.abc import Callable, Sequence
from itertools import count
from time import sleep
from uuid import UUID

import grpc
import numpy as np
from grpc_status import rpc_status

from tests.faults.servers import Stubs
from tests.faults.told import Asked, Told
from unlearn.v1.erasure_pb2 import Erasure, GetErasureRequest, RetryErasureRequest
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
