"""What clients do; those that load the server run in processes of their own.

A process shares no interpreter lock with whoever measures. The functions that run in one
are told when to begin or end by the monotonic clock, which all processes read alike.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from multiprocessing import get_context
from secrets import token_bytes
from time import monotonic, sleep
from uuid import uuid4

import grpc

from unlearn.v1 import erasure_pb2
from unlearn.v1.erasure_pb2 import CreateErasureRequest, Erasure
from unlearn.v1.erasure_pb2_grpc import ErasureServiceStub
from unlearn_client import Client, Selection

PATIENCE = 600.0
_SALT_BYTES = 32


@dataclass(frozen=True)
class Sent:
    """Erasures that were accepted, and when the first of them was sent."""

    began: float
    names: list[str]


def processes(count: int) -> ProcessPoolExecutor:
    """For clients; started afresh, since gRPC does not survive a fork."""
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"))


def erase(client: Client, selection: erasure_pb2.Selection, rows: int) -> None:
    """Asks to forget and waits to see it SUCCEEDED; raises if other than ``rows`` are gone."""
    erasure = client.wait_for_erasure(client.create_erasure(selection).name)
    gone = sum(outcome.erased_samples for outcome in erasure.outcomes)
    if erasure.state != Erasure.SUCCEEDED or gone != rows:
        state = Erasure.State.Name(erasure.state)
        raise RuntimeError(f"{erasure.name} is {state} and erased {gone} rows, not {rows}")


def send_burst(address: str, subjects: Sequence[str], clients: int, begin: float) -> Sent:
    """Asks to forget each subject: from ``clients`` connections at once, none of which waits."""
    requests = [_request(subject) for subject in subjects]
    with ExitStack() as stack:
        stubs = [ErasureServiceStub(_connection(address, stack)) for _ in range(clients)]
        sleep(max(0.0, begin - monotonic()))
        began = monotonic()
        answers = [
            stub.CreateErasure.future(request, timeout=PATIENCE)
            for stub, request in zip(cycle(stubs), requests, strict=False)
        ]
        return Sent(began, [_name(answer) for answer in answers])


def erase_until(address: str, samples: Sequence[str], clients: int, end: float) -> int:
    """How many erasures succeeded: each client asks for the next once its last is done."""
    waiting = iter(samples)

    def erase_one_by_one() -> int:
        with Client(address, timeout=PATIENCE) as client:
            for done, sample in enumerate(waiting):
                if monotonic() >= end:
                    return done
                erase(client, Selection.samples([sample]), rows=1)
        raise RuntimeError("the server was faster than there are samples to erase")

    with ThreadPoolExecutor(clients) as pool:
        futures = [pool.submit(erase_one_by_one) for _ in range(clients)]
        return sum(future.result() for future in futures)


def _request(subject: str) -> CreateErasureRequest:
    return CreateErasureRequest(
        request_id=str(uuid4()),
        erasure=Erasure(selection=Selection.subjects([subject])),
        commitment_salt=token_bytes(_SALT_BYTES),
    )


def _connection(address: str, stack: ExitStack) -> grpc.Channel:
    # Channels of one process to one address would else share a connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channel = stack.enter_context(grpc.insecure_channel(address, options))
    grpc.channel_ready_future(channel).result(timeout=PATIENCE)
    return channel


def _name(answer: "grpc.Future[Erasure]") -> str:
    try:
        return answer.result().name
    except grpc.RpcError as error:  # which cannot be sent to another process as it is
        raise RuntimeError(str(error)) from None
