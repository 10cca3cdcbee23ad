"""The log survives crashes, shows one history only, and follows its keys."""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from signal import SIGKILL
from threading import Thread
from time import sleep
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.e2e.evidence import check_documented, checkpoint_of, erase, payload, unlearn, written
from tests.e2e.test_crash import Sender
from tests.foreign import verifiers
from unlearn.v1.erasure_pb2 import CreateErasureRequest, Erasure
from unlearn_client import Client, Selection
from unlearn_client.verification import open_log, read_trusted, verify
from unlearn_client.verification.merkle import verify_consistency
from unlearn_server import rotation, signing
from unlearn_server.app import Options, running
from unlearn_server.cli import main
from unlearn_server.errors import StartupError
from unlearn_server.failpoints import ENVIRONMENT, Failpoint

CLASSES = ["cat", "dog", "bird"]
SUBJECTS = 60


def content(directory: Path) -> dict[str, bytes]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def ask_for(subject: str, models: list[str], salt: bytes) -> CreateErasureRequest:
    erasure = Erasure(selection=Selection.subjects([subject]), models=models)
    return CreateErasureRequest(request_id=str(uuid4()), erasure=erasure, commitment_salt=salt)


def lose_all_files(log: Path) -> None:
    shutil.rmtree(log)


def lose_some_files(log: Path) -> None:
    for path in [*log.glob("tile/**/*.p/*")][::2]:
        path.unlink()
    (log / "keys.json").unlink(missing_ok=True)


def lose_the_checkpoint(log: Path) -> None:
    (log / "checkpoint").unlink(missing_ok=True)


LOSSES = [lose_all_files, lose_some_files, lose_the_checkpoint, lambda _: None]


def test_a_killed_server_has_one_certificate_of_each_outcome_and_one_history(
    start: Any, make_sample: Any, wait_until: Any
) -> None:
    rng = random.Random()  # any moment; there is no seed for the kernel's part in it
    salts = [rng.randbytes(32) for _ in range(SUBJECTS)]
    models = [["models/a", "models/b"], ["models/b"], ["models/a"]]
    requests = [ask_for(f"p{i}", models[i % 3], salts[i]) for i in range(SUBJECTS)]
    sender, seen = Sender(requests), []
    process = start()
    with process.asked() as server:
        for model in ("a", "b"):
            server.client.create_model(model, "features:4", CLASSES)
            rows = [make_sample(f"s{i}", f"p{i % SUBJECTS}", d=4) for i in range(2 * SUBJECTS)]
            server.client.add_samples(model, rows)
            server.client.create_release(model)
        sender.start()
    for lose in LOSSES:
        with process.asked() as server:
            sender.resume(server)
            enough = len(sender.acknowledged) + rng.randint(1, 10)
            wait_until(lambda enough=enough: len(sender.acknowledged) >= enough)
            seen.append(checkpoint_of(server))
            sleep(rng.uniform(0, 0.05))
            process.kill()
        lose(server.data_dir / "log")
        process = start()
    with process.asked() as server:
        sender.resume(server)
        sender.join()
        done = [server.client.wait_for_erasure(name) for name in sender.acknowledged]
        assert {erasure.state for erasure in done} == {Erasure.SUCCEEDED}
        check_every_outcome_is_certified_once(server, done)
        check_one_history(server, seen, wait_until)
        wait_until(lambda: (server.data_dir / "unlearn.db-wal").stat().st_size == 0)
        stored = (server.data_dir / "unlearn.db").read_bytes()
        assert not [salt for salt in salts if salt in stored]
        assert process.terminate() == 0
    result = CliRunner().invoke(main, ["fsck", "--data-dir", str(server.data_dir)])
    assert (result.exit_code, result.stdout) == (0, "")


def check_every_outcome_is_certified_once(server: Any, done: list[Any]) -> None:
    of_outcomes = {
        outcome.certificate: (erasure.name, outcome.model)
        for erasure in done
        for outcome in erasure.outcomes
    }
    assert len(of_outcomes) == sum(len(erasure.outcomes) for erasure in done)
    size = checkpoint_of(server).size
    assert set(of_outcomes) == {f"certificates/{i}" for i in range(size)}
    of_certificates = {
        each.name: (each.erasure, each.model) for each in server.client.list_certificates()
    }
    assert of_certificates == of_outcomes


def check_one_history(server: Any, seen: list[Any], wait_until: Any) -> None:
    log = server.data_dir / "log"
    wait_until(lambda: (log / "checkpoint").read_bytes() == server.client.get_checkpoint().note)
    newest = checkpoint_of(server)
    for old in (each for each in seen if each.size):
        proof = server.client.get_consistency_proof(old.size, newest.size)
        verify_consistency(old.size, newest.size, proof, old.root, newest.root)
    bundles = {each.name: each.bundle for each in server.client.list_certificates()}
    published, trusted = (
        open_log(server.log_url, 10),
        read_trusted((log / "keys.json").read_bytes()),
    )
    for old in seen:
        assert verify(bundles, trusted, published, old.note).verified


def test_a_certificate_fetched_while_others_are_made_is_of_one_moment(
    server: Any, filled: Any, make_sample: Any
) -> None:
    model_id = filled([make_sample(f"s{i}", f"p{i}") for i in range(16)])
    first = erase(server, model_id, Selection.subjects(["p0"])).outcome.certificate
    eraser = Thread(
        target=lambda: [
            erase(server, model_id, Selection.subjects([f"p{i}"])) for i in range(1, 16)
        ]
    )
    trusted = read_trusted(server.client.get_checkpoint().verifier_key.encode())
    sizes = set()
    eraser.start()
    while eraser.is_alive():
        found = server.client.get_certificate(first)
        files = {"bundle": found.bundle, "proof": found.tlog_proof, "dsse": found.envelope}
        verification = verify(files, trusted)
        assert verification.verified, verification.reports
        assert verification.checkpoint
        sizes.add(verification.checkpoint.size)
    eraser.join()
    assert len(sizes) > 3


def holds(data_dir: Path, secret: bytes) -> bool:
    return any(secret in path.read_bytes() for path in data_dir.glob("unlearn.db*"))


def concealed(data_dir: Path, erasure: Erasure, salt: bytes) -> bytes:
    """How the salt of an open erasure is stored, which is never in clear."""
    query = "SELECT commitment_salt FROM erasures WHERE request_id = ?"
    with closing(sqlite3.connect(data_dir / "unlearn.db")) as database:
        [(stored,)] = database.execute(query, [erasure.name.partition("/")[2]]).fetchall()
    assert holds(data_dir, stored)
    assert not holds(data_dir, salt)
    return bytes(stored)


def test_a_salt_goes_with_the_last_certificate(
    server: Any, filled: Any, make_sample: Any, wait_until: Any
) -> None:
    salt = random.randbytes(32)
    rows = [make_sample(f"s{i}", f"p{i}") for i in range(4)]
    now, later = filled(rows), filled(rows, minimum_cohort=2)
    asked = server.client.create_erasure(
        Selection.subjects(["p0"]), [now, later], commitment_salt=salt
    )
    wait_until(lambda: server.client.get_erasure(asked.name).outcomes)
    [outcome] = server.client.get_erasure(asked.name).outcomes
    assert outcome.model == f"models/{now}"
    assert server.client.get_erasure(asked.name).state == Erasure.RUNNING
    sleep(0.2)  # longer than it takes to clear what lingers
    stored = concealed(server.data_dir, asked, salt)
    server.client.create_erasure(Selection.subjects(["p1"]), [later])
    assert server.client.wait_for_erasure(asked.name).state == Erasure.SUCCEEDED
    wait_until(lambda: not holds(server.data_dir, stored))
    told = [payload(each) for each in server.client.list_certificates(erasure=asked.name)]
    assert len(told) == 2


def test_a_salt_goes_with_a_request_that_is_withdrawn(
    server: Any, filled: Any, make_sample: Any, wait_until: Any
) -> None:
    model_id = filled([make_sample("s", "p")], minimum_cohort=2)
    for _ in range(3):  # at first something else may be cleared, and the salt with it
        salt = random.randbytes(32)
        asked = server.client.create_erasure(Selection.subjects(["p"]), commitment_salt=salt)
        wait_until(lambda: (server.data_dir / "unlearn.db-wal").stat().st_size == 0)
        stored = concealed(server.data_dir, asked, salt)
        assert server.client.cancel_erasure(asked.name).state == Erasure.CANCELLED
        wait_until(lambda stored=stored: not holds(server.data_dir, stored))
    assert list(server.client.list_certificates(model=model_id)) == []


@contextmanager
def serving(data_dir: Path, **options: Any) -> Iterator[Any]:
    """A server in this process, with options."""
    told = Options(data_dir, "localhost:0", "localhost:0", **options)
    with running(told) as ports, Client(f"localhost:{ports.port}", timeout=60) as client:
        yield Asked(client, data_dir)


class Asked:
    def __init__(self, client: Client, data_dir: Path) -> None:
        self.client = client
        self.data_dir = data_dir


@pytest.fixture(scope="module")
def used(tmp_path_factory: Any, make_sample: Any) -> Path:
    """What a server leaves that has erased p0."""
    data_dir: Path = tmp_path_factory.mktemp("used") / "data"
    with serving(data_dir) as server:
        server.client.create_model("m", "features:3", CLASSES)
        server.client.add_samples("m", [make_sample(f"s{i}", f"p{i}") for i in range(20)])
        server.client.create_release("m")
        erase(server, "m", Selection.subjects(["p0"]))
    return data_dir


@pytest.fixture
def data_dir(used: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(used, tmp_path / "data"))


@pytest.fixture
def refused(data_dir: Path) -> Callable[..., None]:
    """Starting is refused, in these words, and nothing is written."""

    def refused(words: str, **options: Any) -> None:
        before = content(data_dir)
        with pytest.raises(StartupError, match=words), serving(data_dir, **options):
            pass
        assert content(data_dir) == before

    return refused


def test_what_a_server_certifies_last_is_published_before_it_ends(data_dir: Path) -> None:
    with serving(data_dir) as server:
        for i in range(1, 4):
            erase(server, "m", Selection.subjects([f"p{i}"]))
        newest = server.client.get_checkpoint().note
    assert (data_dir / "log" / "checkpoint").read_bytes() == newest


def test_a_log_keeps_the_name_it_has(data_dir: Path, refused: Any) -> None:
    for name in ("another.example/log", "a b"):
        refused("--log-origin: the log is called unlearn.local/", log_origin=name)
    with serving(data_dir) as server:
        own = checkpoint_of(server).origin
    with serving(data_dir, log_origin=own) as server:
        assert checkpoint_of(server).origin == own


@pytest.mark.parametrize("name", ["a b", "a+b", "a\nb", " ", "a\x1b"])
def test_a_log_is_not_begun_under_a_name_that_notes_cannot_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(StartupError, match="origin: must be a name"):  # noqa: SIM117
        with serving(tmp_path, log_origin=name):
            pass
    with serving(tmp_path, log_origin="unlearn.example/log") as server:
        assert checkpoint_of(server).origin == "unlearn.example/log"


PLAIN = NoEncryption()


def pem(key: Any, encryption: KeySerializationEncryption = PLAIN) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def new_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def replace_key(data_dir: Path, content: bytes) -> None:
    (data_dir / "signing.key").write_bytes(content)


def test_another_key_is_refused(data_dir: Path, refused: Any) -> None:
    replace_key(data_dir, pem(new_key()))
    refused("the signing key: is not the one .* keys rotate")


def test_a_lost_key_is_not_made_anew(data_dir: Path, refused: Any, start: Any) -> None:
    (data_dir / "signing.key").unlink()
    refused("signing.key: is missing, .* second history .* restore it from a backup")
    before = content(data_dir / "log")
    process = start(data_dir)
    assert process.wait() == 1
    assert process.said.startswith("unlearn-server: signing.key: is missing")
    assert "Traceback" not in process.said
    assert content(data_dir / "log") == before
    assert not (data_dir / "signing.key").exists()


def test_a_key_that_others_may_read_is_refused(data_dir: Path, refused: Any) -> None:
    (data_dir / "signing.key").chmod(0o644)
    refused("signing.key: others may read or write it; chmod 600 it")


RSA_KEY = rsa.generate_private_key(65537, 2048)
RSA = pem(RSA_KEY)
NO_KEYS = {
    "empty": b"",
    "garbage": b"\xff\x00 garbage",
    "PEM of garbage": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "RSA": RSA,
    "public": RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "encrypted": pem(new_key(), BestAvailableEncryption(b"secret")),
}


@pytest.mark.parametrize("kind", NO_KEYS)
def test_what_is_no_key_is_refused(data_dir: Path, refused: Any, kind: str) -> None:
    replace_key(data_dir, NO_KEYS[kind])
    refused("signing.key: is no Ed25519 key in unencrypted PEM")


def test_a_key_in_the_environment_signs_and_another_is_refused(
    data_dir: Path, refused: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = (data_dir / "signing.key").read_text()
    (data_dir / "signing.key").unlink()
    monkeypatch.setenv("UNLEARN_SIGNING_KEY", own)
    with serving(data_dir) as server:
        done = erase(server, "m", Selection.subjects(["p1"]))
    assert unlearn("verify", *written(done.certificate, tmp_path)).exit_code == 0
    assert not (data_dir / "signing.key").exists()
    monkeypatch.setenv("UNLEARN_SIGNING_KEY", pem(new_key()).decode())
    refused("the signing key: is not the one")
    for garbage in ("", "garbage", RSA.decode()):
        monkeypatch.setenv("UNLEARN_SIGNING_KEY", garbage)
        refused("UNLEARN_SIGNING_KEY: is no Ed25519 key")


def test_a_key_in_a_file_of_its_own(tmp_path: Path) -> None:
    with serving(tmp_path / "data", signing_key=tmp_path / "own.pem") as server:
        own = server.client.get_checkpoint().verifier_key
    assert not (tmp_path / "data" / "signing.key").exists()
    assert (tmp_path / "own.pem").stat().st_mode & 0o777 == 0o600
    with serving(tmp_path / "data", signing_key=tmp_path / "own.pem") as server:
        assert server.client.get_checkpoint().verifier_key == own


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"a\n-1\nAAAA\n", b"\xff\xfe", b"a\n99\n\n"])
def test_a_published_checkpoint_that_is_none_is_refused(
    data_dir: Path, refused: Any, garbage: bytes
) -> None:
    (data_dir / "log" / "checkpoint").write_bytes(garbage)
    refused("checkpoint: cannot be read; move .* away|two histories")


def test_an_old_database_under_a_newer_log_is_refused(
    data_dir: Path, refused: Any, tmp_path: Path
) -> None:
    shutil.copy(data_dir / "unlearn.db", tmp_path / "old.db")
    with serving(data_dir) as server:
        erase(server, "m", Selection.subjects(["p1"]))
    shutil.copy(tmp_path / "old.db", data_dir / "unlearn.db")
    refused("knows 1 certificates, and the journal 2, .* two histories")
    log = content(data_dir / "log")
    result = run("keys", "rotate", "--data-dir", data_dir)
    assert result.exit_code == 2
    assert "two histories" in result.stderr
    assert content(data_dir / "log") == log


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_fork_is_refused_by_whoever_saw_the_other_side(data_dir: Path, tmp_path: Path) -> None:
    fork = Path(shutil.copytree(data_dir, tmp_path / "fork"))
    files, saved = {}, tmp_path / "saved.checkpoint"
    for side, person in ((data_dir, "p1"), (fork, "p2")):
        with serving(side) as server:
            done = erase(server, "m", Selection.subjects([person]))
        (tmp_path / person).mkdir()
        files[side] = written(done.certificate, tmp_path / person)

    def verified(side: Path) -> Result:
        keys = side / "log" / "keys.json"
        own = ["--key", keys, "--log", side / "log", "--checkpoint", saved]
        return unlearn("verify", *files[side], *own)

    assert verified(data_dir).exit_code == 0
    before = saved.read_bytes()
    refused = verified(fork)
    assert refused.exit_code == 1
    assert "two histories" in " ".join(refused.stdout.split())
    assert saved.read_bytes() == before
    saved.unlink()
    assert verified(fork).exit_code == 0  # nothing is wrong with it alone


def rotated(data_dir: Path) -> str:
    result = run("keys", "rotate", "--data-dir", data_dir)
    assert result.exit_code == 0, result.output
    return result.stdout


def published_keys(data_dir: Path) -> Any:
    return json.loads((data_dir / "log" / "keys.json").read_bytes())


def test_certificates_of_four_keys_verify_from_the_first(data_dir: Path, tmp_path: Path) -> None:
    first, old = tmp_path / "first.pem", []
    for i in range(1, 4):
        with serving(data_dir) as server:
            erase(server, "m", Selection.subjects([f"p{i}"]))
            if i == 1:
                old = list(server.client.list_certificates())
                first.write_bytes(old[0].public_key)
        assert rotated(data_dir).startswith("the key in force is ")
    with serving(data_dir) as server:
        erase(server, "m", Selection.subjects(["p9"]))
        listed = list(server.client.list_certificates())
        newest = server.client.get_checkpoint().verifier_key
    rotations = [each.name for each in listed if not each.erasure]
    assert rotations == ["certificates/2", "certificates/4", "certificates/6"]
    assert not any(each.model for each in listed if not each.erasure)
    check_documented([json.loads(payload(each)) for each in listed])

    log, keys = data_dir / "log", published_keys(data_dir)
    assert [key["firstIndex"] for key in keys["keys"]] == [0, 3, 5, 7]
    signers = [keys["keys"][i]["publicKey"].encode() for i in (0, 0, 0, 1, 1, 2, 2, 3)]
    assert [each.public_key for each in listed] == signers
    assert newest == keys["keys"][-1]["verifierKey"]
    alone = tmp_path / "alone"
    alone.write_text(newest)
    for each in (each for each in listed if each.erasure):
        files = written(each, tmp_path)
        assert unlearn("verify", *files, "--key", first, "--log", log).exit_code == 0
        assert unlearn("verify", *files, "--key", log / "keys.json").exit_code == 0
        is_newest = each.name == "certificates/7"
        assert (unlearn("verify", *files, "--key", alone).exit_code == 0) == is_newest
    for each in old:
        assert unlearn("verify", *written(each, tmp_path), "--key", first).exit_code == 0
    assert run("fsck", "--data-dir", data_dir).exit_code == 0
    bundles = [json.loads(each.bundle) for each in listed]
    assert verifiers.sigstore(keys, bundles) == [None] * len(bundles)


def test_a_running_server_keeps_its_key(data_dir: Path) -> None:
    own = (data_dir / "signing.key").read_bytes()
    with serving(data_dir):
        result = run("keys", "rotate", "--data-dir", data_dir)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "is in use by another server" in result.stderr
    assert (data_dir / "signing.key").read_bytes() == own


def check_it_goes_on(data_dir: Path, keys: int, tmp_path: Path) -> None:
    with serving(data_dir) as server:
        done = erase(server, "m", Selection.subjects(["p7"]))
        assert not (data_dir / "signing.key.next").exists()
    assert len(published_keys(data_dir)["keys"]) == keys
    files = written(done.certificate, tmp_path)
    keys_json = data_dir / "log" / "keys.json"
    assert unlearn("verify", *files, "--key", keys_json).exit_code == 0
    assert run("fsck", "--data-dir", data_dir).exit_code == 0


def test_a_next_key_that_was_not_handed_over_to_is_forgotten(
    data_dir: Path, tmp_path: Path
) -> None:
    own = (data_dir / "signing.key").read_bytes()
    signing.read_key(data_dir / "signing.key.next", create=True)
    check_it_goes_on(data_dir, 1, tmp_path)
    assert (data_dir / "signing.key").read_bytes() == own


def test_a_next_key_that_was_handed_over_to_takes_its_place(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = (data_dir / "signing.key").read_bytes()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(rotation.os, "replace", crash)
        assert run("keys", "rotate", "--data-dir", data_dir).exit_code != 0
    following = (data_dir / "signing.key.next").read_bytes()
    assert (data_dir / "signing.key").read_bytes() == own
    check_it_goes_on(data_dir, 2, tmp_path)
    assert (data_dir / "signing.key").read_bytes() == following


def test_a_rotation_that_fails_changes_nothing(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = (data_dir / "signing.key").read_bytes()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("unlearn_server.certifying.log.add_key", crash)
        assert run("keys", "rotate", "--data-dir", data_dir).exit_code != 0
    assert (data_dir / "signing.key.next").exists()
    check_it_goes_on(data_dir, 1, tmp_path)
    assert (data_dir / "signing.key").read_bytes() == own


def test_what_cannot_be_rotated(data_dir: Path, tmp_path: Path) -> None:
    missing = run("keys", "rotate", "--data-dir", tmp_path / "missing")
    assert missing.exit_code == 2
    assert not (tmp_path / "missing").exists()
    replace_key(data_dir, pem(new_key()))
    before = content(data_dir / "log")
    other = run("keys", "rotate", "--data-dir", data_dir)
    assert other.exit_code == 2
    assert "the signing key: is not the one" in other.stderr
    (data_dir / "signing.key").unlink()
    lost = run("keys", "rotate", "--data-dir", data_dir)
    assert lost.exit_code == 2
    assert "signing.key: is missing" in lost.stderr
    assert content(data_dir / "log") == before


@pytest.mark.parametrize(
    ("point", "keys"),
    [
        (Failpoint.ROTATE_PREPARED, 1),
        (Failpoint.ROTATE_STORED, 1),
        (Failpoint.ROTATE_COMMITTED, 2),
        (Failpoint.ROTATE_REPLACED, 2),
    ],
)
def test_a_killed_rotation_has_happened_or_has_not(
    data_dir: Path, tmp_path: Path, point: Failpoint, keys: int
) -> None:
    command = Path(sys.executable).with_name("unlearn-server")
    killed = subprocess.run(
        [command, "keys", "rotate", "--data-dir", data_dir],
        env={**os.environ, ENVIRONMENT: f"{point}=kill"},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -SIGKILL
    check_it_goes_on(data_dir, keys, tmp_path)
