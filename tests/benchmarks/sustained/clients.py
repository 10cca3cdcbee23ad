"""Many connections of one process, on which calls are made when they are due.

What it does not make in time counts against the server: both share the machine.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from itertools import cycle
from time import monotonic

import grpc
import grpc.aio
from google.rpc.status_pb2 import Status

from inference.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub
from tests.benchmarks.sustained.answers import OK, OVERLOADED, Answer
from tests.benchmarks.sustained.arrivals import Operation, Segment, arrivals
from tests.benchmarks.sustained.people import addition, erasure, prediction
from unlearn.v1.erasure_pb2_grpc import ErasureServiceStub
from unlearn.v1.model_pb2_grpc import ModelServiceStub

CONNECTIONS = 12
"""Of each process. On one connection no more than 128 calls reach the server at a time."""

CALL_SECONDS = 60.0
_DETAILS = "grpc-status-details-bin"


def send(
    address: str,
    segments: Sequence[Segment],
    seed: int,
    begin: float,
    present: Sequence[int],
    newcomers: Sequence[int],
) -> list[Answer]:
    """Makes the calls of segments one after the other, and waits for their answers.

    Args:
        address: the server's.
        segments: what part of the load this process makes.
        seed: of the schedule.
        begin: when, by the monotonic clock.
        present: people to erase, before those that it adds itself.
        newcomers: numbers of people to add.
    """
    return asyncio.run(_Clients(begin, present, newcomers).send(address, segments, seed))


class _Stubs:
    """Every service that is asked, over one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.models = ModelServiceStub(channel)
        self.erasures = ErasureServiceStub(channel)
        self.inference = GRPCInferenceServiceStub(channel)


class _Clients:
    def __init__(self, begin: float, present: Sequence[int], newcomers: Sequence[int]) -> None:
        self._begin = begin
        self._present = deque(present)
        self._newcomers = iter(newcomers)
        self._newest_release = 0
        self._answers: list[Answer] = []

    async def send(self, address: str, segments: Sequence[Segment], seed: int) -> list[Answer]:
        options = [("grpc.use_local_subchannel_pool", 1)]  # connections of their own
        channels = [grpc.aio.insecure_channel(address, options) for _ in range(CONNECTIONS)]
        for channel in channels:
            await channel.channel_ready()
        stubs = cycle([_Stubs(channel) for channel in channels])
        async with asyncio.TaskGroup() as calls:
            for due, operation in arrivals(segments, seed):
                await asyncio.sleep(self._begin + due - monotonic())
                calls.create_task(self._call(next(stubs), due, operation))
        for channel in channels:
            await channel.close()
        return self._answers

    async def _call(self, stubs: _Stubs, due: float, operation: Operation) -> None:
        match operation:
            case Operation.PREDICT:
                await self._predict(stubs, due)
            case Operation.ADD:
                await self._add(stubs, due)
            case Operation.ERASE:
                await self._erase(stubs, due)

    async def _predict(self, stubs: _Stubs, due: float) -> None:
        newest = self._newest_release
        call = stubs.inference.ModelInfer(prediction(), timeout=CALL_SECONDS)
        answer, code, retry = await _outcome(call)
        if answer:
            code = OK if int(answer.model_version) >= newest else "STALE"
            self._newest_release = max(self._newest_release, int(answer.model_version))
        self._answered(Answer(Operation.PREDICT, due, 0, code, retry))

    async def _add(self, stubs: _Stubs, due: float) -> None:
        person = next(self._newcomers)
        call = stubs.models.AddSamples(iter([addition(person)]), timeout=CALL_SECONDS)
        answer, code, retry = await _outcome(call)
        if answer:
            self._present.append(person)
        self._answered(Answer(Operation.ADD, due, 0, code, retry, person))

    async def _erase(self, stubs: _Stubs, due: float) -> None:
        person = self._present.popleft()
        request = erasure(person)
        call = stubs.erasures.CreateErasure(request, timeout=CALL_SECONDS)
        _, code, retry = await _outcome(call)
        if code == OVERLOADED:
            self._present.append(person)
        self._answered(Answer(Operation.ERASE, due, 0, code, retry, person, request))

    def _answered(self, answer: Answer) -> None:
        self._answers.append(answer._replace(answered=monotonic() - self._begin))


async def _outcome(call: Awaitable):
    """The answer or None, its code, and whether a refusal said when to come again."""
    try:
        return await call, OK, False
    except grpc.aio.AioRpcError as error:
        return None, error.code().name, _says_when(error)


def _says_when(error: grpc.aio.AioRpcError) -> bool:
    details = dict(error.trailing_metadata() or ()).get(_DETAILS, b"")
    return any("RetryInfo" in each.type_url for each in Status.FromString(details).details)
