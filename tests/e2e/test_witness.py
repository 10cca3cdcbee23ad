"""Witnesses of a real server's log: their signatures come to the verifier, and forks do not."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from unlearn_client import Client, Selection
from unlearn_client.cli import main
from unlearn_client.verification import Witness, Witnesses, read_checkpoint
from unlearn_client.witness import Cosigner, opened, read_logs, serving
from unlearn_server.app import Options, Running, running
from unlearn_server.cli import main as server_main


@contextmanager
def asked(data: Path, *witnesses: tuple[str, str], wanted: int | None = None):
    """A server with these witnesses, and a client of it."""
    options = Options(
        data, "localhost:0", "localhost:0", witnesses=witnesses, witnesses_wanted=wanted
    )
    with running(options) as ports, Client(f"localhost:{ports.port}", timeout=60) as client:
        yield ports, client


def erase(client: Client, person: str) -> str:
    accepted = client.create_erasure(Selection.subjects([person]), ["m"])
    (outcome,) = client.wait_for_erasure(accepted.name).outcomes
    return outcome.certificate


def metric(ports: Running, name: str) -> float:
    with urlopen(f"http://localhost:{ports.metrics_port}/metrics") as page:  # ours
        lines = page.read().decode().splitlines()
    [value] = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
    return float(value)


@pytest.fixture
def data(tmp_path: Path, make_sample) -> Path:
    """A server's data: a model of ada's, bob's, cyd's and dan's samples."""
    with asked(tmp_path / "data") as (_, client):
        client.create_model("m", "features:3", ["cat", "dog", "bird"])
        people = ["", "", "ada", "bob", "cyd", "dan"]
        client.add_samples("m", [make_sample(f"s{i}", who) for i, who in enumerate(people)])
        client.create_release("m")
    return tmp_path / "data"


@pytest.fixture
def log_key(data: Path) -> str:
    with asked(data) as (_, client):
        return client.get_checkpoint().verifier_key


Witnessed = Callable[[int], tuple[str, str]]


@pytest.fixture
def witness(tmp_path: Path, log_key: str) -> Iterator[Witnessed]:
    """Starts a witness; its verifier key and URL."""
    with ExitStack() as stack:

        def witness(number: int) -> tuple[str, str]:
            folder = tmp_path / f"witness-{number}"
            folder.mkdir()
            files = folder / "state", folder / "key"
            key, state = stack.enter_context(opened(*files, f"w.example/{number}"))
            cosigner = Cosigner(key, read_logs([log_key]), state)
            port = stack.enter_context(serving(cosigner, "127.0.0.1:0"))
            return key.verifier_key, f"http://127.0.0.1:{port}"

        yield witness


def cosigners(note: bytes, *witnesses: tuple[str, str]) -> set[str]:
    policy = Witnesses([Witness.read(vkey) for vkey, _ in witnesses], 0)
    return {each.witness for each in policy.verify(read_checkpoint(note))}


def verify(folder: Path, log_key: str, *words: str) -> tuple[int, dict]:
    (folder / "key").write_text(log_key)
    files = [str(path) for path in folder.glob("certificate-*")]
    ran = CliRunner().invoke(
        main, ["--json", "verify", *files, "--key", str(folder / "key"), *words]
    )
    return ran.exit_code, json.loads(ran.stdout)


def test_certificates_come_with_the_witnesses_signatures(
    data, log_key, witness, tmp_path, wait_until
):
    pair = witness(1), witness(2)
    named = [word for vkey, _ in pair for word in ("--witness", vkey)]
    with asked(data, *pair) as (ports, client):
        for person in ("ada", "bob"):
            name = erase(client, person)
            wait_until(lambda: len(cosigners(client.get_checkpoint().note, *pair)) == 2)
            get = ["--address", f"localhost:{ports.port}", "certificates", "get", name]
            assert CliRunner().invoke(main, [*get, "--out", str(tmp_path)]).exit_code == 0
            code, document = verify(tmp_path, log_key, *named)
            assert code == 0
            assert [each["name"] for each in document["witnesses"]] == [
                "w.example/1",
                "w.example/2",
            ]
            published = data / "log" / "checkpoint"
            wait_until(lambda at=published: at.read_bytes() == client.get_checkpoint().note)
            assert metric(ports, "unlearn_log_cosignatures") == 2
            assert metric(ports, "unlearn_log_unwitnessed_seconds") == 0
            for file in tmp_path.glob("certificate-*"):
                file.unlink()
    check = ["fsck", "--data-dir", str(data)]
    checked = CliRunner().invoke(server_main, check)
    assert checked.exit_code == 0, checked.output
    with closing(sqlite3.connect(data / "unlearn.db")) as database, database:
        [note] = database.execute("SELECT witnessed FROM logs").fetchone()
        database.execute("UPDATE logs SET witnessed = ?", (note.replace("\n2\n", "\n1\n"),))
    checked = CliRunner().invoke(server_main, check)
    assert checked.exit_code == 1
    assert "what witnesses signed is not how the log began" in checked.output


def test_erasures_do_not_wait_for_a_witness_that_is_gone(data, witness, wait_until):
    there, gone = witness(1), (witness(2)[0], "http://127.0.0.1:9")
    with asked(data, there, gone, wanted=1) as (ports, client):
        first = erase(client, "ada")
        wait_until(lambda: cosigners(client.get_checkpoint().note, there) == {"w.example/1"})
        published = data / "log" / "checkpoint"
        wait_until(lambda: published.read_bytes() == client.get_checkpoint().note)
        assert metric(ports, "unlearn_log_cosignatures") == 1
        assert metric(ports, "unlearn_log_unwitnessed_seconds") == 0
        proof = client.get_certificate(first).tlog_proof
        assert cosigners(proof[proof.index(b"\n\n") + 2 :], there) == {"w.example/1"}


def test_of_two_forks_no_witness_signs_both(data, log_key, witness, tmp_path, wait_until):
    pair = witness(1), witness(2)
    named = [word for vkey, _ in pair for word in ("--witness", vkey)]
    with asked(data, *pair) as (_, client):
        erase(client, "ada")
        wait_until(lambda: len(cosigners(client.get_checkpoint().note, *pair)) == 2)
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    # The first witness sees one fork first, and the second the other.
    for place, person, first in ((data, "bob", pair[0]), (copy, "cyd", pair[1])):
        with asked(place, first) as (_, client):
            erase(client, person)
            wait_until(lambda c=client, w=first: cosigners(c.get_checkpoint().note, w) != set())
    for place, first in ((data, pair[0]), (copy, pair[1])):
        with asked(place, *pair) as (ports, client):
            wait_until(lambda p=ports: metric(p, "unlearn_log_unwitnessed_seconds") > 0)
            name = erase(client, "dan")
            wait_until(lambda c=client, w=first: cosigners(c.get_checkpoint().note, w) != set())
            assert len(cosigners(client.get_checkpoint().note, *pair)) == 1
            folder = tmp_path / first[0].partition("+")[0].replace("/", "-")
            folder.mkdir()
            found = client.get_certificate(name)
            (folder / "certificate-a").write_bytes(found.envelope)
            (folder / "certificate-b").write_bytes(found.tlog_proof)
        code, document = verify(folder, log_key, *named)
        assert code == 1
        assert "only 1 of the 2 witnesses" in document["refusal"]
        assert verify(folder, log_key, "--witness", first[0])[0] == 0
