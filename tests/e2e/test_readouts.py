"""The command that tries to refute a model's forgetting, beside the server whose model it is."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unlearn.v1.model_pb2 import Features, Sample, UserWeights

LITTLE = ["--shadows", "8", "--pairs", "16"]


def command(data_dir: Path, *words: str) -> list[str]:
    program = Path(sys.executable).with_name("unlearn-server")
    return [str(program), "readouts", *words, "--data-dir", str(data_dir)]


def readouts(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(data_dir, *words), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def pets(server: Any) -> str:
    rng = np.random.default_rng(0)
    for model_id, noise in (("plain", 0.0), ("noisy", 0.5)):
        server.client.create_model(
            model_id, "features:3", ["cat", "dog"], user_weights=UserWeights(noise_scale=noise)
        )
        server.client.add_samples(
            model_id,
            (
                Sample(
                    sample_id=f"s{i}",
                    subject_id="" if i % 10 == 0 else f"p{i}",
                    features=Features(values=rng.normal(size=3)),
                    label=i % 2,
                    retention=Sample.USER if i % 10 else Sample.CORE,
                )
                for i in range(60)
            ),
        )
        server.client.create_release(model_id)
    return "plain"


@pytest.mark.usefixtures("pets")
@pytest.mark.parametrize("model_id", ["plain", "noisy"])
def test_nothing_refutes_exact_forgetting_and_nothing_is_changed(
    server: Any, model_id: str
) -> None:
    before = server.client.get_model(model_id)
    people = ["--erase", "p1", "--erase", "p12"]
    done = readouts(server.data_dir, model_id, *people, "--json", *LITTLE)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["erased"], found["passed"], found["failed"]) == (2, True, [])
    assert found["retained"] + found["test"] == 58
    assert found["attack_accuracy"] == 0.5
    assert server.client.get_model(model_id) == before
    assert server.client.audit_model(model_id).consistent


def test_the_table_is_for_people(server: Any, pets: str) -> None:
    done = readouts(server.data_dir, pets, "--erase", "p1", *LITTLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 erased" in done.stdout
    assert "WITHIN" in done.stdout
    assert not done.stderr


def test_a_terminal_shows_how_many_models_are_done(server: Any, pets: str) -> None:
    terminal, theirs = os.openpty()
    words = command(server.data_dir, pets, "--erase", "p1", *LITTLE)
    env = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=theirs, env=env) as running:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # once nobody has the other end
            while part := os.read(terminal, 4096):
                shown += part
    os.close(terminal)
    assert running.returncode == 0
    assert b"60/60" in shown


def test_what_cannot_be_tried_says_why(server: Any, pets: str, tmp_path: Path) -> None:
    for data_dir, words, said in (
        (server.data_dir, [pets, "--erase", "nobody"], "--erase"),
        (server.data_dir, ["dragons", "--erase", "p1"], "no such model"),
        (tmp_path, [pets, "--erase", "p1"], "--data-dir"),
    ):
        done = readouts(data_dir, *words, *LITTLE)
        assert done.returncode == 2
        assert said in done.stderr
        assert "nobody" not in done.stderr
        assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
