"""A server that many clients ask at once."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from statistics import quantiles
from time import monotonic, sleep

import grpc
import numpy as np
from numpy.typing import NDArray

from inference.open_inference_grpc_pb2 import ModelInferRequest
from inference.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub
from tests.benchmarks.clients import PATIENCE, erase_until, send_burst
from tests.benchmarks.timing import TURNS, Timed, Work, seconds
from unlearn.v1.erasure_pb2 import Erasure, GetErasureRequest, ListErasuresRequest
from unlearn.v1.erasure_pb2_grpc import ErasureServiceStub
from unlearn_client.tensors import feature_tensors, infer_request

PROCESSES = 2
BURST_CLIENTS = 8
PRESSING_CLIENTS = 2
"""While one's erasure is carried out the other's waits, so that there is always one to do."""

WINDOW_SECONDS = 1.0
_HEAD_START = 0.5
"""Seconds that a process is given to get ready."""

_OPEN = (Erasure.PENDING, Erasure.RUNNING, Erasure.HELD)
_LOOK_AGAIN_SECONDS = 0.02  # each look costs the server more than an erasure does


@dataclass(frozen=True)
class Latencies:
    """Seconds of many calls."""

    median: float
    p99: float
    runs: int

    @classmethod
    def of(cls, times: list[float]) -> "Latencies":
        """Summarises the seconds of each call."""
        percentiles = quantiles(times, n=100)
        return cls(percentiles[49], percentiles[98], len(times))


@dataclass(frozen=True)
class Inference:
    """Predictions on one row: with nothing else to do, and while erasures run at full rate."""

    idle: Latencies
    pressed: Latencies
    erasures_per_second: float


class Load:
    """Erases subjects and samples that nobody else does, ``single`` says which."""

    def __init__(
        self, address: str, channel: grpc.Channel, pool: ProcessPoolExecutor, single: Iterator[int]
    ) -> None:
        self._address = address
        self._erasures = ErasureServiceStub(channel)
        self._predictions = GRPCInferenceServiceStub(channel)
        self._pool = pool
        self._single = single

    def bursts(self, erasures: int) -> Timed:
        """From the first request sent to the last one seen SUCCEEDED."""
        self._burst(erasures)  # starts the processes
        return Timed.of([self._burst(erasures) for _ in range(TURNS)])

    def _burst(self, erasures: int) -> float:
        subjects = [f"subject {i}" for i in islice(self._single, erasures)]
        begin = monotonic() + _HEAD_START
        clients = BURST_CLIENTS // PROCESSES
        sending = [
            self._pool.submit(send_burst, self._address, subjects[k::PROCESSES], clients, begin)
            for k in range(PROCESSES)
        ]
        sent = [future.result() for future in sending]
        while self._is_any_open():
            sleep(_LOOK_AGAIN_SECONDS)
        ended = monotonic()
        for burst in sent:
            self._check(burst.names)
        return ended - min(burst.began for burst in sent)

    def _is_any_open(self) -> bool:
        request = ListErasuresRequest(page_size=1, states=_OPEN)
        return bool(self._erasures.ListErasures(request, timeout=PATIENCE).erasures)

    def _check(self, names: list[str]) -> None:
        for name in names:
            erasure = self._erasures.GetErasure(GetErasureRequest(name=name), timeout=PATIENCE)
            gone = [outcome.erased_samples for outcome in erasure.outcomes]
            if erasure.state != Erasure.SUCCEEDED or gone != [1]:
                raise RuntimeError(f"{name} did not erase its row: {erasure}")

    def inference(self, model: str, row: NDArray[np.float32], pressure: int) -> Inference:
        """Windows without and with erasures, in turn; ``pressure`` are at hand for each."""
        (tensor,) = feature_tensors(row)
        call = partial(self._predict, infer_request(model, tensor))
        _window(call)
        idle: list[float] = []
        pressed: list[float] = []
        erased = 0
        for _ in range(TURNS):
            idle += _window(call)
            samples = [f"sample {i}" for i in islice(self._single, pressure)]
            end = monotonic() + 2 * _HEAD_START + WINDOW_SECONDS
            pressing = self._pool.submit(erase_until, self._address, samples, PRESSING_CLIENTS, end)
            sleep(_HEAD_START)
            pressed += _window(call)
            erased += pressing.result()
        pressed_seconds = TURNS * (2 * _HEAD_START + WINDOW_SECONDS)
        return Inference(Latencies.of(idle), Latencies.of(pressed), erased / pressed_seconds)

    def _predict(self, request: ModelInferRequest) -> None:
        self._predictions.ModelInfer(request, timeout=PATIENCE)


def _window(call: Work) -> list[float]:
    """Seconds of each call, one after the other."""
    end = monotonic() + WINDOW_SECONDS
    times = []
    while monotonic() < end:
        times.append(seconds(call))
    return times
