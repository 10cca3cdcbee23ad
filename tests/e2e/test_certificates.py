"""What the server certifies, strangers can verify: the certificates, and the log as published."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from unlearn.v1.erasure_pb2 import Erasure
from unlearn_client import Client, Selection
from unlearn_client.cli import main
from unlearn_client.verification import Log, Opening, open_log, read_trusted, verify
from unlearn_client.verification.merkle import verify_consistency
from unlearn_client.verification.notes import read_checkpoint
from unlearn_server.app import Options, running
from unlearn_server.cli import main as server_main

SALT = bytes(range(32))


@pytest.fixture
def six(make_sample):
    """Two samples of CORE, two of ada's, one of bob's, one of cyd's."""
    people = ["", "", "ada", "ada", "bob", "cyd"]
    return [make_sample(f"s{i}", person) for i, person in enumerate(people)]


@pytest.fixture
def ports(tmp_path: Path):
    with running(Options(tmp_path / "data", "localhost:0", "localhost:0")) as ports:
        yield ports


@pytest.fixture
def client(ports):
    with Client(f"localhost:{ports.port}", timeout=60) as client:
        yield client


def erase(client: Client, selection, *models: str, method=Erasure.METHOD_UNSPECIFIED) -> str:
    """Erases, and gives the name of the one certificate."""
    accepted = client.create_erasure(selection, models, method, "gdpr", commitment_salt=SALT)
    (outcome,) = client.wait_for_erasure(accepted.name).outcomes
    return outcome.certificate


def _is_current(client: Client, log: Log) -> bool:
    return log.read("checkpoint", 9999) == client.get_checkpoint().note


@pytest.fixture
def log(ports, client, wait_until):
    """The log as published, once it holds all that is certified: it comes a little later."""

    def published() -> Log:
        log = open_log(f"http://localhost:{ports.metrics_port}/log", 10)
        wait_until(lambda: _is_current(client, log))
        return log

    return published


def files(client: Client, certificate: str) -> dict[str, bytes]:
    found = client.get_certificate(certificate)
    return {"envelope": found.envelope, "bundle": found.bundle, "proof": found.tlog_proof}


def test_certificates_are_verified_with_the_log_as_published(client, log, six):
    client.create_model("m", "features:3", ["cat", "dog", "bird"])
    client.add_samples("m", six)
    client.create_release("m")
    first = erase(client, Selection.subjects(["ada"]), "m")
    saved = client.get_checkpoint()
    trusted = read_trusted(saved.verifier_key.encode())
    second = erase(client, Selection.samples(["s4"]), "m")
    third = erase(client, Selection.all_user_data(), "m", method=Erasure.ZERO)

    openings = {
        first: Opening(SALT, {"subject": frozenset({"ada"}), "sample": frozenset({"s2", "s3"})}),
        second: Opening(SALT, {"sample": frozenset({"s4"})}),
        third: None,
    }
    for name, opening in openings.items():
        verification = verify(files(client, name), trusted, log(), saved.note, opening)
        assert verification.verified, verification.reports
        (report,) = verification.reports
        assert f"certificates/{report.statement.index}" == name
        assert report.not_covered
    listed = [certificate.name for certificate in client.list_certificates(model="m")]
    assert sorted(listed) == sorted([first, second, third])


def test_consistency_proofs_join_the_checkpoints(client, six):
    client.create_model("m", "features:3", ["cat", "dog", "bird"])
    client.add_samples("m", six)
    notes = []
    for person in ("ada", "bob", "cyd"):
        erase(client, Selection.subjects([person]), "m")
        notes.append(read_checkpoint(client.get_checkpoint().note))
    for older in notes:
        for newer in notes[notes.index(older) :]:
            proof = client.get_consistency_proof(older.size, newer.size)
            verify_consistency(older.size, newer.size, proof, older.root, newer.root)


def test_the_command_fetches_and_verifies(ports, client, log, six, tmp_path):
    client.create_model("m", "features:3", ["cat", "dog", "bird"])
    client.add_samples("m", six)
    name = erase(client, Selection.subjects(["ada"]), "m")
    log()
    (tmp_path / "salt").write_text(SALT.hex())
    (tmp_path / "key").write_text(client.get_checkpoint().verifier_key)

    def run(*words: object):
        address = ["--address", f"localhost:{ports.port}"]
        return CliRunner().invoke(main, [*address, *map(str, words)])

    assert run("certificates", "get", name, "--out", tmp_path).exit_code == 0
    fetched = sorted(tmp_path.glob("certificate-*"))
    assert len(fetched) == 3
    where = ["--key", tmp_path / "key", "--checkpoint", tmp_path / "kept"]
    where += ["--log", f"http://localhost:{ports.metrics_port}/log"]
    who = ["--salt-file", tmp_path / "salt", "--subject", "ada"]
    verified = run("verify", *fetched, *where, *who)
    assert verified.exit_code == 0, verified.output
    assert run("verify", *fetched, *where, *who, "--subject", "bob").exit_code == 1
    assert (tmp_path / "kept").read_bytes() == client.get_checkpoint().note


def test_a_key_that_was_changed_is_followed_from_the_one_before(tmp_path, six, wait_until):
    data = tmp_path / "data"
    names, evidence, keys = [], {}, []
    for person in ("ada", "bob"):
        with (
            running(Options(data, "localhost:0", "localhost:0")) as ports,
            Client(f"localhost:{ports.port}", timeout=60) as client,
        ):
            if not names:
                client.create_model("m", "features:3", ["cat", "dog", "bird"])
                client.add_samples("m", six)
            names.append(erase(client, Selection.subjects([person]), "m"))
            evidence = {name: files(client, name) for name in names}
            keys.append(client.get_checkpoint().verifier_key)
            log = open_log(f"http://localhost:{ports.metrics_port}/log", 10)
            wait_until(lambda client=client, log=log: _is_current(client, log))
            trusted = read_trusted(keys[0].encode())
            for name in names:
                assert verify(evidence[name], trusted, log).verified, name
        if len(names) == 1:
            rotated = CliRunner().invoke(
                server_main, ["keys", "rotate", "--data-dir", str(data)], catch_exceptions=False
            )
            assert rotated.exit_code == 0, rotated.output
    assert keys[0] != keys[1]
    assert not verify(evidence[names[1]], read_trusted(keys[0].encode())).verified
    assert verify(evidence[names[1]], read_trusted(keys[1].encode())).verified
