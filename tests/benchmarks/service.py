"""The whole service: a real server process, and a client that talks gRPC to it."""

from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc

from inference.open_inference_grpc_pb2 import ServerLiveRequest
from inference.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub
from tests import postgres
from tests.benchmarks.clients import PATIENCE, erase, processes
from tests.benchmarks.data import Data
from tests.benchmarks.load import PROCESSES, Inference, Load
from tests.benchmarks.peers import RidgeRefit
from tests.benchmarks.samples import samples
from tests.benchmarks.server import server
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.timing import MOST_RUNS, Timed, in_turn, seconds
from unlearn_client import Client, Selection

MODEL = "bench"
_PARTS = 6


@dataclass(frozen=True)
class Service:
    """What clients saw.

    Attributes:
        adding: of ``added`` rows, durable.
        one, subject: from CreateErasure to SUCCEEDED, of one row and of a subject's many;
            each has ``erase``, and ``refit`` on the same rows called in turn.
        burst: of many erasures, from the first sent to the last seen SUCCEEDED.
        inference: predictions, idle and while erasures run.
        echo: the smallest call there is.
        peak_bytes: of the server process.
    """

    adding: Timed
    added: int
    one: dict[str, Timed]
    subject: dict[str, Timed]
    burst: Timed
    inference: Inference
    echo: Timed
    peak_bytes: int


def measure(data: Data, sizes: Sizes, database: str | None = None) -> Service:
    """Starts a server on SQLite, or a database at a URL, fills it, and loads it in every way."""
    with (
        TemporaryDirectory() as directory,
        server(Path(directory), database) as running,
        grpc.insecure_channel(running.address) as channel,
        Client(running.address, timeout=PATIENCE) as client,
        processes(PROCESSES) as pool,
    ):
        client.create_model(MODEL, f"features:{sizes.width - 1}", data.objective.classes)
        in_groups = MOST_RUNS * sizes.subject_rows
        adding = _add(client, data, in_groups, sizes.subject_rows)
        client.create_release(MODEL)
        group, single = count(), count(in_groups)
        refit = RidgeRefit(data).delete

        def erase_one() -> None:
            erase(client, Selection.samples([f"sample {next(single)}"]), 1)

        def erase_group() -> None:
            erase(client, Selection.subjects([f"group {next(group)}"]), sizes.subject_rows)

        load = Load(running.address, channel, pool, single)
        return Service(
            adding=adding,
            added=len(data.labels) // _PARTS,
            one=in_turn({"erase": erase_one, "refit": refit}),
            subject=in_turn({"erase": erase_group, "refit": refit}),
            burst=load.bursts(sizes.burst),
            inference=load.inference(MODEL, data.features[:1], sizes.pressure),
            echo=_echo(channel),
            peak_bytes=running.peak_bytes,
        )


def measure_on_postgresql(data: Data, sizes: Sizes) -> Service | None:
    """The same on a PostgreSQL of its own, which syncs its commits; None where there is none."""
    if not postgres.binaries():
        return None
    with postgres.running(durable=True) as running:
        return measure(data, sizes, running.new_database())


def _add(client: Client, data: Data, in_groups: int, group_rows: int) -> Timed:
    """Times each part of the rows. The first subjects have many rows, the others one."""
    rows = len(data.labels) // _PARTS

    def subject_of(i: int) -> str:
        return f"group {i // group_rows}" if i < in_groups else f"subject {i}"

    def add(first: int) -> None:
        part = slice(first, first + rows)
        pairs = zip(data.features[part], data.labels[part], strict=True)
        client.add_samples(MODEL, samples(pairs, subject_of, first))

    starts = range(0, _PARTS * rows, rows)
    return Timed.of([seconds(partial(add, first)) for first in starts])


def _echo(channel: grpc.Channel) -> Timed:
    inference = GRPCInferenceServiceStub(channel)
    return in_turn({"echo": lambda: inference.ServerLive(ServerLiveRequest())})["echo"]
