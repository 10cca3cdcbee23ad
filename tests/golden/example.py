"""Writes ``docs/example``, what the tutorial is about: ``python -m tests.golden.example``.

A real server makes it, so that times, keys and salts are new each time, and what the tutorial
quotes of them must be quoted anew.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep

from unlearn.v1.model_pb2 import Features, Sample
from unlearn_client import Client, Selection
from unlearn_server.app import Options, running
from unlearn_server.data_directory import LOG
from unlearn_server.exporting import export

EXAMPLE = Path(__file__).parents[2] / "docs" / "example"
SALT = bytes(range(200, 232))
FRUIT = {
    "": [(0, 1.0, 0.0), (1, 0.0, 1.0)],
    "ann": [(0, 1.0, 0.1), (0, 0.9, 0.2)],
    "bob": [(1, 0.2, 1.1)],
    "cyd": [(1, 0.3, 0.7)],
    "dan": [(0, 0.8, 0.3)],
    "eve": [(1, 0.1, 0.8)],
    "fay": [(0, 0.7, 0.1)],
    "gus": [(0, 1.2, 0.4), (1, 0.4, 0.9)],
}
"""Of each person, and of CORE, rows of a class and two features."""

GONE = {"fruit": ["dan", "eve", "fay", "cyd", "ann"], "books": ["bob", "gus"]}
"""Who is erased, in turn: ann's certificate has index 4 of 7, and fruit serves what came of it."""


def samples() -> Iterator[Sample]:
    for person, rows in FRUIT.items():
        for i, (label, *values) in enumerate(rows):
            yield Sample(
                sample_id=f"{person or 'core'}-{i}",
                subject_id=person,
                features=Features(values=values),
                label=label,
                retention=Sample.USER if person else Sample.CORE,
            )


def erase(client: Client, model: str, people: Sequence[str]) -> None:
    for person in people:
        selection = Selection.subjects([person])
        accepted = client.create_erasure(
            selection, [model], regulation="gdpr", commitment_salt=SALT
        )
        client.wait_for_erasure(accepted.name)


@contextmanager
def erased(data_dir: Path) -> Iterator[Client]:
    options = Options(data_dir, "localhost:0", "localhost:0", log_origin="unlearn.example/log")
    with running(options) as ports, Client(f"localhost:{ports.port}", timeout=60) as client:
        for model, people in GONE.items():
            client.create_model(model, "features:2", ["apple", "pear"])
            client.add_samples(model, samples())
            client.create_release(model)
            erase(client, model, people)
        yield client


def write(data_dir: Path, out: Path) -> None:
    with erased(data_dir) as client:
        found = client.get_certificate("certificates/4")
        while (data_dir / LOG / "checkpoint").read_bytes() != client.get_checkpoint().note:
            sleep(0.1)
        shutil.copytree(data_dir / LOG, out / "log", ignore=shutil.ignore_patterns("[1-6]"))
    for ending, content in {
        "dsse.json": found.envelope,
        "sigstore.json": found.bundle,
        "tlog-proof": found.tlog_proof,
    }.items():
        (out / f"certificate-4.{ending}").write_bytes(content)
    keys = json.loads((out / "log" / "keys.json").read_bytes())
    (out / "operator.pem").write_text(keys["keys"][0]["publicKey"])
    (out / "salt.hex").write_text(f"{SALT.hex()}\n")
    with (out / "fruit.npz").open("wb") as file:
        export(data_dir, None, None, "fruit", file, lambda _done, _of: None)


if __name__ == "__main__":
    shutil.rmtree(EXAMPLE, ignore_errors=True)
    EXAMPLE.mkdir(parents=True)
    with TemporaryDirectory() as folder:
        write(Path(folder) / "data", EXAMPLE)
