"""Every outcome has a certificate, which strangers verify: what it says, and that it is logged."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import grpc
import pytest
import rfc8785
from click.testing import CliRunner
from google.protobuf.json_format import MessageToDict

from tests.e2e.evidence import (
    SALT,
    Certified,
    check_documented,
    checkpoint_of,
    erase,
    payload,
    unlearn,
    written,
)
from tests.e2e.test_tangent import create as create_tangent
from tests.foreign import verifiers
from unlearn.v1.audit_pb2 import (
    GetCertificateRequest,
    GetConsistencyProofRequest,
    ListCertificatesRequest,
)
from unlearn.v1.erasure_pb2 import CreateErasureRequest, Erasure, WatchErasureRequest
from unlearn.v1.model_pb2 import CreateModelRequest, Model, UserWeights
from unlearn_client import Selection
from unlearn_client.cli import main
from unlearn_client.verification.merkle import verify_consistency
from unlearn_client.verification.notes import read_checkpoint

CORES, PEOPLE = 4, 12


def people(make_sample: Callable[..., Any]) -> list[Any]:
    """Some of CORE, and two of each person's: s0 and s1 are p0's."""
    rows = [make_sample(f"c{i}") for i in range(CORES)]
    return rows + [make_sample(f"s{i}", f"p{i // 2}") for i in range(2 * PEOPLE)]


@pytest.fixture
def model(filled: Any, make_sample: Any) -> str:
    model_id: str = filled(people(make_sample))
    return model_id


@pytest.fixture
def published_checkpoint(server: Any, wait_until: Any) -> Callable[[], Any]:
    """Waits until what is published is what the server answers."""

    def published_checkpoint() -> Any:
        def is_there() -> bool:
            newest = server.client.get_checkpoint().note
            return (server.data_dir / "log" / "checkpoint").read_bytes() == newest

        wait_until(is_there)

    return published_checkpoint


SELECTIONS = {
    "subjects": (Selection.subjects(["p1", "p2", "nobody"]), {}, 4),
    "one of two samples": (Selection.samples(["s6", "missing"]), {}, 1),
    "all user data": (Selection.all_user_data(), {}, 2 * PEOPLE),
    "all user data to zero": (Selection.all_user_data(), {"method": Erasure.ZERO}, 2 * PEOPLE),
    "nothing": (Selection.subjects(["nobody"]), {}, 0),
}


@pytest.mark.parametrize("kind", SELECTIONS)
@pytest.mark.parametrize("release", [True, False])
def test_a_certificate_says_what_the_service_answers(
    server: Any, filled: Any, make_sample: Any, truth_of: Any, kind: str, release: bool
) -> None:
    model_id = filled(people(make_sample), release=release)
    selection, fields, erased = SELECTIONS[kind]
    done = erase(server, model_id, selection, regulation="gdpr", **fields)
    assert done.told["samples"] == {
        "erased": erased,
        "remaining": server.client.get_model(model_id).sample_count,
    }
    assert done.told["samples"]["remaining"] == CORES + 2 * PEOPLE - erased
    check_statement(server, done)
    parameters = done.told["method"]["parameters"]
    assert parameters == truth_of(server.client.get_model(model_id)).objective.to_json()
    assert bool(done.told["destruction"]) == (erased > 0)
    assert len(done.told["destruction"]) == (2 if erased and release else bool(erased))


def check_statement(server: Any, done: Certified) -> None:
    """What a statement says, against messages of the service."""
    erasure, outcome, told = done.erasure, done.outcome, done.told
    model = server.client.get_model(outcome.model)
    digest = hashlib.sha256(rfc8785.dumps(told["method"]["parameters"])).hexdigest()
    assert done.statement["_type"] == "https://in-toto.io/Statement/v1"
    assert done.statement["predicateType"] == "urn:unlearn:erasure:v1"
    assert done.certificate.name == outcome.certificate
    assert done.certificate.erasure == told["erasure"] == erasure.name
    assert done.certificate.model == told["model"]["name"] == model.name
    assert told["regulation"] == erasure.regulation
    for name in ("receive_time", "due_time", "complete_time"):
        said = datetime.fromisoformat(told[name.replace("_t", "T")])
        assert said == datetime.fromisoformat(getattr(erasure, name).ToJsonString())
    assert told["model"]["core"] == {"name": model.core, "digest": model.core_digest}
    assert told["model"]["digest"] == digest
    assert told["method"]["name"] == Erasure.Method.Name(outcome.method)
    assert told["samples"]["erased"] == outcome.erased_samples
    bound = MessageToDict(outcome.bound, always_print_fields_with_no_presence=True)
    assert told["bound"] == {**bound, "cohort": outcome.bound.cohort}
    index = int(outcome.certificate.removeprefix("certificates/"))
    assert told["log"] == {"origin": checkpoint_of(server).origin, "index": index}
    subjects = [{"name": model.name, "digest": {"sha256": digest}}]
    before, after = outcome.release_before or None, outcome.release_after or None
    names = {"before": before, "after": after}
    if after:
        release = server.client.get_release(after)
        assert told["release"] == {
            **names,
            "stateCommitment": release.state_commitment.hex(),
            "weightsCommitment": release.weights_commitment.hex(),
        }
        solve = MessageToDict(outcome.solve, always_print_fields_with_no_presence=True)
        assert told["solve"] == solve
        hmac_digest = {"hmacSha256": release.weights_commitment.hex()}
        subjects.append({"name": after, "digest": hmac_digest})
    else:
        assert told["release"] == names
        assert "solve" not in told
    assert done.statement["subject"] == subjects
    assert payload(done.certificate) == rfc8785.dumps(done.statement)


def test_a_request_for_two_models_has_a_certificate_of_each(
    server: Any, filled: Any, make_sample: Any
) -> None:
    first, second = (filled(people(make_sample), release=released) for released in (True, False))
    models = [first, second]
    done = erase(server, first, Selection.subjects(["p3"]), models=models)
    assert len({outcome.certificate for outcome in done.erasure.outcomes}) == 2
    listed = list(server.client.list_certificates(erasure=done.erasure.name))
    assert sorted(each.name for each in listed) == sorted(
        outcome.certificate for outcome in done.erasure.outcomes
    )
    told = [json.loads(payload(each))["predicate"] for each in listed]
    assert {each["model"]["name"] for each in told} == {f"models/{each}" for each in models}
    roots = {each["commitments"]["subjects"]["root"] for each in told}
    assert len(roots) == 1  # the request, with its one salt
    assert len({each["commitments"]["samples"]["root"] for each in told}) == 1


def test_a_request_that_concerns_no_model_is_done_without_a_certificate(server: Any) -> None:
    before = checkpoint_of(server).size
    accepted = server.client.create_erasure(Selection.subjects(["nobody"]))
    assert accepted.state == Erasure.SUCCEEDED
    assert list(server.client.list_certificates(erasure=accepted.name)) == []
    assert checkpoint_of(server).size == before


def test_a_tangent_model_with_infinity_in_words(server: Any) -> None:
    model_id = create_tangent(server, range(24))
    done = erase(server, model_id, Selection.subjects(["p5"]))
    check_statement(server, done)
    assert done.told["method"]["name"] == "NEWTON"
    assert done.told["bound"]["nats"] == "Infinity"
    assert not done.told["solve"]["correctlyRounded"]
    assert b'"nats":"Infinity"' in payload(done.certificate)


@pytest.mark.usefixtures("model")
def test_whoever_sees_success_finds_the_certificate_under_the_checkpoint(server: Any) -> None:
    for i in range(6):
        accepted = server.client.create_erasure(Selection.subjects([f"p{i}"]))
        stream = server.erasures.WatchErasure(WatchErasureRequest(name=accepted.name), timeout=60)
        [*_, last] = stream
        assert last.state == Erasure.SUCCEEDED
        index = int(last.outcomes[0].certificate.removeprefix("certificates/"))
        assert checkpoint_of(server).size > index


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_unlearn_verifies_what_unlearn_fetches_over_several_erasures(
    server: Any, model: str, folder: Path, published_checkpoint: Any
) -> None:
    salt = folder / "salt"
    salt.write_bytes(SALT)
    saved = folder / "saved.checkpoint"
    for i in range(4):
        done = erase(server, model, Selection.subjects([f"p{i}"]))
        address = f"localhost:{server.port}"
        get = ["--address", address, "certificates", "get", done.outcome.certificate]
        fetched = CliRunner().invoke(main, [*get, "--out", str(folder)])
        assert fetched.exit_code == 0, fetched.output
        published_checkpoint()
        keys = folder / "keys.json"
        with urlopen(f"{server.log_url}/keys.json") as answer:  # noqa: S310 # ours
            keys.write_bytes(answer.read())
        index = done.told["log"]["index"]
        files = sorted(folder.glob(f"certificate-{index}.*"))
        assert len(files) == 3
        result = unlearn(
            "--json",
            *("verify", *files, "--key", keys, "--log", server.log_url, "--checkpoint", saved),
            *("--salt-file", salt, "--subject", f"p{i}"),
            *("--sample", f"s{2 * i}", "--sample", f"s{2 * i + 1}"),
        )
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found["statement"] == done.statement
        assert any("as published now" in words for words in found["proven"])
        assert i == 0 or any("saved at size" in words for words in found["proven"])
        assert read_checkpoint(saved.read_bytes()) == checkpoint_of(server)


def test_each_of_the_formats_alone_is_enough(server: Any, model: str, folder: Path) -> None:
    done = erase(server, model, Selection.subjects(["p1"]))
    key = folder / "key.pem"
    key.write_bytes(done.certificate.public_key)
    dsse, sigstore, proof = written(done.certificate, folder)
    assert unlearn("verify", sigstore, "--key", key).exit_code == 0
    assert unlearn("verify", dsse, proof, "--key", key).exit_code == 0
    assert unlearn("verify", dsse, "--key", key).exit_code == 1  # nothing shows it in the log


@pytest.mark.parametrize(
    "opened",
    [
        ["--subject", "p2"],
        ["--subject", "p1", "--subject", "p2"],
        ["--subject", "p1", "--sample", "s2"],
        ["--sample", "s2", "--sample", "s4"],
    ],
)
def test_commitments_open_with_nothing_but_what_was_asked(
    server: Any, model: str, folder: Path, opened: list[str]
) -> None:
    done = erase(server, model, Selection.subjects(["p1"]))
    files = written(done.certificate, folder)
    salt = folder / "salt"
    salt.write_bytes(SALT)
    right = ["--subject", "p1", "--sample", "s2", "--sample", "s3"]
    assert unlearn("verify", *files, "--salt-file", salt, *right).exit_code == 0
    assert unlearn("verify", *files, "--salt-file", salt, *opened).exit_code == 1
    salt.write_bytes(SALT[::-1])
    assert unlearn("verify", *files, "--salt-file", salt, *right).exit_code == 1


def test_one_id_opens_alone_as_the_documents_say(server: Any, model: str) -> None:
    """By x, o and its audit path: the salt and the others stay hidden."""
    done = erase(server, model, Selection.samples(["s0", "s5"]))
    told = done.told["commitments"]
    assert set(told) == {"samples"}

    def committed(own: str) -> bytes:
        opening = hmac.digest(SALT, b"sample\0" + own.encode(), "sha256")
        return hmac.digest(opening, own.encode(), "sha256")

    def hashed(prefix: bytes, *parts: bytes) -> bytes:
        return hashlib.sha256(prefix + b"".join(parts)).digest()

    left, right = (hashed(b"\0", each) for each in sorted(map(committed, ["s0", "s5"])))
    assert told["samples"] == {"count": 2, "root": hashed(b"\1", left, right).hex()}


def test_a_salt_that_nobody_gave_opens_nothing(server: Any, model: str) -> None:
    roots = []
    for model_id in (model, model):
        done = erase(server, model_id, Selection.subjects(["p1"]), commitment_salt=b"")
        roots.append(done.told["commitments"]["subjects"]["root"])
    assert roots[0] != roots[1]  # one of its own for each request


SUBJECT, SAMPLE = "ada.lovelace-71c2@example.org", "photo-of-ada-5513"


def test_nothing_personal_is_in_what_strangers_may_read(
    server: Any, filled: Any, make_sample: Any, published_checkpoint: Any
) -> None:
    model_id = filled([*people(make_sample), make_sample(SAMPLE, SUBJECT)])
    done = erase(server, model_id, Selection.subjects([SUBJECT]))
    assert done.outcome.erased_samples == 1
    published_checkpoint()
    certificate = done.certificate
    shown = [payload(certificate), certificate.envelope, certificate.bundle]
    shown += [certificate.tlog_proof, certificate.public_key]
    files = [path for path in (server.data_dir / "log").rglob("*") if path.is_file()]
    assert {"checkpoint", "keys.json"} <= {path.name for path in files}
    shown += [path.read_bytes() for path in files]
    hidden = list(patterns(server.data_dir))
    assert len(hidden) > 20
    for content in shown:
        for pattern in hidden:
            assert pattern not in content


def patterns(data_dir: Path) -> Iterator[bytes]:
    """Ids in clear, their plain hashes, and their hashes under the server's key and the salt."""
    key = (data_dir / "id-hashing.key").read_bytes()
    for own in (SUBJECT, SAMPLE):
        clear = own.encode()
        yield clear
        yield base64.b64encode(clear)[:-4]
        for digest in (
            *(hashlib.new(name, clear).digest() for name in ("md5", "sha1", "sha256", "sha512")),
            *(hmac.digest(key, kind + clear, "sha256") for kind in (b"subject\0", b"sample\0")),
            *(hmac.digest(SALT, kind + clear, "sha256") for kind in (b"subject\0", b"sample\0")),
        ):
            yield digest
            yield digest.hex().encode()
            yield base64.b64encode(digest)
    yield from (SALT, SALT.hex().encode(), base64.b64encode(SALT))


def pages(server: Any, size: int, **filters: str) -> list[list[str]]:
    names, token = [], ""
    while True:
        request = ListCertificatesRequest(page_size=size, page_token=token, **filters)
        answer = server.audits.ListCertificates(request, timeout=60)
        names.append([each.name for each in answer.certificates])
        token = answer.next_page_token
        if not token:
            return names


def test_certificates_are_listed_in_the_order_of_the_log(
    server: Any, filled: Any, make_sample: Any
) -> None:
    models = [filled(people(make_sample)) for _ in range(2)]
    done = [erase(server, models[i % 2], Selection.subjects([f"p{i}"])) for i in range(6)]
    size = checkpoint_of(server).size
    everything = [f"certificates/{i}" for i in range(size)]
    for page_size in (1, 4, size, size + 1):
        found = pages(server, page_size)
        assert [name for page in found for name in page] == everything
        assert all(len(page) == page_size for page in found[:-1])
    for i, model_id in enumerate(models):
        own = [each.outcome.certificate for each in done[i::2]]
        found = pages(server, 2, model=f"models/{model_id}")
        assert [name for page in found for name in page] == own
    one = pages(server, 5, erasure=done[3].erasure.name)
    assert one == [[done[3].outcome.certificate]]
    of_both = {"erasure": done[3].erasure.name, "model": f"models/{models[0]}"}
    assert pages(server, 5, **of_both) == [[]]
    assert pages(server, 5, erasure=f"erasures/{uuid4()}") == [[]]
    assert pages(server, 5, model="models/missing") == [[]]
    [listed] = server.client.list_certificates(erasure=done[3].erasure.name)
    assert listed == server.client.get_certificate(done[3].outcome.certificate)


def test_consistency_between_all_checkpoints_seen(server: Any, model: str) -> None:
    seen = []
    for i in range(5):
        erase(server, model, Selection.subjects([f"p{i}"]))
        seen.append(checkpoint_of(server))
    for i, first in enumerate(seen):
        for second in seen[i:]:
            proof = server.client.get_consistency_proof(first.size, second.size)
            verify_consistency(first.size, second.size, proof, first.root, second.root)


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("certificates/99999", "NOT_FOUND", "CERTIFICATE_NOT_FOUND"),
        (f"certificates/{10**18 - 1}", "NOT_FOUND", "CERTIFICATE_NOT_FOUND"),
        (f"certificates/{2**64}", "INVALID_ARGUMENT", "INVALID_FIELD"),
        ("certificates/-1", "INVALID_ARGUMENT", "INVALID_FIELD"),
        ("certificates/01", "INVALID_ARGUMENT", "INVALID_FIELD"),
        ("certificates/", "INVALID_ARGUMENT", "INVALID_FIELD"),
        ("models/m", "INVALID_ARGUMENT", "INVALID_FIELD"),
        ("", "INVALID_ARGUMENT", "INVALID_FIELD"),
    ],
)
def test_certificates_that_are_none(
    server: Any, refusal: Any, name: str, code: str, reason: str
) -> None:
    refused = refusal(server.audits.GetCertificate, GetCertificateRequest(name=name))
    assert (refused.code.name, refused.reason, refused.field) == (code, reason, "name")


@pytest.mark.parametrize(
    "sizes", [(1, 10**9), (2, 1), (0, 1), (-1, 1), (1, -1), (1, 2**63 - 1), (0, 0)]
)
def test_sizes_that_the_log_never_had_or_in_wrong_order(
    server: Any, model: str, refusal: Any, sizes: tuple[int, int]
) -> None:
    erase(server, model, Selection.subjects(["p0"]))
    erase(server, model, Selection.subjects(["p1"]))
    first, second = sizes
    request = GetConsistencyProofRequest(first_size=first, second_size=second)
    refused = refusal(server.audits.GetConsistencyProof, request)
    assert refused.reason == "SIZE_OUT_OF_RANGE"
    assert refused.code is grpc.StatusCode.OUT_OF_RANGE


@pytest.mark.parametrize(
    "filters",
    [
        {"erasure": "models/m"},
        {"model": "erasures/x"},
        {"page_size": -1},
        {"page_token": "bm90IG91cnM="},
    ],
)
def test_listings_that_make_no_sense(server: Any, refusal: Any, filters: dict[str, Any]) -> None:
    request = ListCertificatesRequest(**filters)
    refused = refusal(server.audits.ListCertificates, request)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT


def test_foreign_verifiers_accept_certificates_and_the_published_log(
    server: Any, model: str, published_checkpoint: Any
) -> None:
    for i in range(3):
        erase(server, model, Selection.subjects([f"p{i}"]))
    certificates = list(server.client.list_certificates())
    published_checkpoint()
    note = server.client.get_checkpoint()
    size = read_checkpoint(note.note).size
    assert 0 < size < 256
    keys = json.loads(downloaded(server, "keys.json"))
    verifier_keys = [keys["keys"][-1]["verifierKey"]]
    assert verifier_keys == [note.verifier_key]
    entries = downloaded(server, f"tile/entries/000.p/{size}")
    leaves = list(taken_apart(entries))
    paths = ["checkpoint", f"tile/0/000.p/{size}", f"tile/entries/000.p/{size}"]
    files = {path: downloaded(server, path) for path in paths}
    cases = [{"log": {"files": files, "leaves": leaves, "verifierKeys": verifier_keys}}]
    for each, leaf in zip(certificates, leaves, strict=True):
        proof = {"text": each.tlog_proof.decode(), "leaf": leaf, "verifierKeys": verifier_keys}
        cases.append({"proof": proof})
    assert verifiers.sumdb(cases) == [None] * len(cases)
    bundles = [json.loads(each.bundle) for each in certificates]
    assert verifiers.sigstore(keys, bundles) == [None] * size


def downloaded(server: Any, path: str) -> bytes:
    with urlopen(f"{server.log_url}/{path}") as answer:  # noqa: S310 # ours
        content: bytes = answer.read()
    return content


def taken_apart(bundle: bytes) -> Iterator[bytes]:
    while bundle:
        length = int.from_bytes(bundle[:2])
        yield bundle[2 : 2 + length]
        bundle = bundle[2 + length :]


@pytest.mark.parametrize("year", [1, 999])
def test_a_request_received_long_ago_is_certified(
    server: Any, model: str, folder: Path, year: int
) -> None:
    asked = Erasure(selection=Selection.subjects(["p4"]), models=[f"models/{model}"])
    asked.receive_time.FromDatetime(datetime(year, 3, 4))
    request = CreateErasureRequest(request_id=str(uuid4()), erasure=asked)
    name = server.erasures.CreateErasure(request, timeout=60).name
    [outcome] = server.client.wait_for_erasure(name).outcomes
    certificate = server.client.get_certificate(outcome.certificate)
    result = unlearn("--json", "verify", *written(certificate, folder))
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)["statement"]["predicate"]
    assert told["receiveTime"] == f"{year:04}-03-04T00:00:00.000000Z"


def test_whatever_is_certified_can_be_shown(
    server: Any, refusal: Any, fresh_id: Any, folder: Path
) -> None:
    """A verifier refuses what a terminal would take for commands; so does the server."""
    asked = Erasure(selection=Selection.subjects(["p1"]), regulation="gdpr\x1b[2J")
    request = CreateErasureRequest(request_id=str(uuid4()), erasure=asked)
    assert refusal(server.erasures.CreateErasure, request).field == "erasure.regulation"
    described = Model(core="features:3", classes=["cat", "dog\u202e"])
    created = CreateModelRequest(model_id=fresh_id(), model=described)
    assert refusal(server.models.CreateModel, created).field == "classes"
    model_id = fresh_id()
    server.client.create_model(model_id, "features:3", ["Katze", "Hündin 犬", '"\\'])
    done = erase(server, model_id, Selection.subjects(["p1"]), regulation='§ 35 BDSG, "Art. 17"')
    assert unlearn("verify", *written(done.certificate, folder)).exit_code == 0


def test_extreme_settings_are_certified(server: Any, fresh_id: Any, folder: Path) -> None:
    """JSON's integers end at 2^53; the largest ridge does not."""
    for weights in (
        UserWeights(feature_bound=1.0, ridge=2.0**51 * 2.0**-28),
        UserWeights(noise_scale=1e300),
        UserWeights(noise_scale=5e-324),
    ):
        model_id = fresh_id()
        server.client.create_model(model_id, "features:3", ["a", "b"], user_weights=weights)
        done = erase(server, model_id, Selection.subjects(["p1"]))
        assert unlearn("verify", *written(done.certificate, folder)).exit_code == 0


def test_every_member_of_a_statement_is_documented(server: Any, model: str) -> None:
    statements = [
        erase(server, model, Selection.subjects(["p1"]), regulation="gdpr").statement,
        erase(server, model, Selection.all_user_data(), method=Erasure.ZERO).statement,
    ]
    check_documented(statements)
