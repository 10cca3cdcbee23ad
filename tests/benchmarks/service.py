"""The whole service: a real server process, the real client."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.benchmarks.data import Data
from tests.benchmarks.timing import seconds
from unlearn.v1.model_pb2 import Features, Sample
from unlearn_client import Client, Selection


def measure(data: Data, erasures: int) -> dict[str, float]:
    """Rows a second added, and seconds from sending an erasure to seeing it SUCCEEDED."""
    width = data.features.shape[1]
    with _server() as address, Client(address, timeout=600) as client:
        client.create_model("bench", f"features:{width}", data.objective.classes)
        adding = seconds(lambda: client.add_samples("bench", _samples(data)))
        client.create_release("bench")
        times = [seconds(lambda i=i: _erase(client, i)) for i in range(erasures + 1)]
    return {"rows_per_second": len(data.labels) / adding, "erase": median(times[1:])}


def _erase(client: Client, i: int) -> None:
    erasure = client.create_erasure(Selection.samples([f"sample {i}"]))
    assert client.wait_for_erasure(erasure.name).outcomes[0].erased_samples == 1


def _samples(data: Data) -> Iterator[Sample]:
    for i, (row, label) in enumerate(zip(data.features, data.labels, strict=True)):
        yield Sample(
            sample_id=f"sample {i}",
            subject_id=f"subject {i}",
            features=Features(values=row.tolist()),
            label=int(label),
        )


@contextmanager
def _server() -> Iterator[str]:
    command = Path(sys.executable).with_name("unlearn-server")
    with TemporaryDirectory() as directory:
        log_path = Path(directory) / "log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [command, "serve", "--data-dir", f"{directory}/data"],
                env={
                    **os.environ,
                    "UNLEARN_ADDRESS": "localhost:0",
                    "UNLEARN_METRICS_ADDRESS": "localhost:0",
                },
                stderr=log,
            )
        try:
            yield f"localhost:{_port(process, log_path)}"
        finally:
            process.terminate()
            process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    while process.poll() is None:
        if found := re.search(r'"port": (\d+)', log.read_text()):
            return int(found[1])
    raise RuntimeError(log.read_text())
