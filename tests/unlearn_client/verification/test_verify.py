"""Certificates that hold, and every way known to us of passing off one that does not."""

import json
from base64 import b64decode
from copy import deepcopy

import pytest

from tests.unlearn_client.verification.logs import (
    ORIGIN,
    SALT,
    SUBJECTS,
    Key,
    SignedLog,
    b64,
    entry,
    statement,
)
from unlearn_client.verification import Opening, Report, Verification, read_trusted, verify

LOG = SignedLog(8)
TRUSTED = read_trusted(LOG.key.pem.encode())


def one(verification: Verification) -> Report:
    (report,) = verification.reports
    return report


def accepted(files: dict[str, bytes], trusted=TRUSTED, **more) -> Report:
    report = one(verify(files, trusted, **more))
    assert report.refusal == ""
    return report


def refused(files: dict[str, bytes], reason: str, trusted=TRUSTED, **more) -> None:
    """Something is refused for this reason, and nothing is claimed of what is refused."""
    verification = verify(files, trusted, **more)
    refusals = [report for report in verification.reports if report.refusal]
    assert any(reason in report.refusal for report in refusals), refusals
    assert not verification.verified
    assert not any(report.proven or report.statement for report in refusals)


def changed_bundle(change, index: int = 3) -> dict[str, bytes]:
    document = deepcopy(LOG.bundle_document(index))
    change(document)
    return {"b": json.dumps(document).encode()}


def logged(document: dict) -> dict:
    return document["verificationMaterial"]["tlogEntries"][0]


@pytest.mark.parametrize("index", range(8))
def test_a_certificate_in_any_of_its_forms(index):
    files = LOG.files(index)
    report = accepted(files)
    assert report.files == tuple(files)
    assert report.key == LOG.key.fingerprint
    assert any(
        f"at its size 8, holds exactly this certificate at index {index}" in line
        for line in report.proven
    )
    for some in (["sigstore.json"], ["dsse.json", "tlog-proof"], ["sigstore.json", "tlog-proof"]):
        part = {name: files[name] for name in files if name.partition(".")[2] in some}
        assert accepted(part).proven == report.proven


def test_nothing_is_not_verified():
    assert not verify({}, TRUSTED).verified


def test_several_certificates_are_sorted_out():
    files = {name: content for index in (1, 5, 2) for name, content in LOG.files(index).items()}
    reports = verify(dict(sorted(files.items())), TRUSTED).reports
    assert [report.statement.index for report in reports if report.statement] == [1, 2, 5]
    assert [len(report.files) for report in reports] == [3, 3, 3]


def test_an_own_key_is_not_pinned_and_that_is_said():
    report = accepted(LOG.files(3), None)
    assert "its own, not pinned" in report.proven[0]
    assert any("the key belongs to whom you think" in line for line in report.not_covered)
    assert not any("whom you think" in line for line in accepted(LOG.files(3)).not_covered)


def test_what_the_statement_does_not_cover_is_passed_on():
    assert "copies that others made" in accepted(LOG.files(3)).not_covered


def test_claims_are_told_in_words_that_round_nothing_down():
    log, said = SignedLog(), statement(0)
    said["predicate"]["bound"] |= {"nats": 0.1000001, "attackAccuracy": 0.6234501}
    said["predicate"]["completeTime"] = "2026-02-01T00:00:00.000001Z"
    log.append(said)
    claims = dict(accepted(log.files(0)).statement.claims)
    assert "at most 0.1000001 nats; the best attack is right 62.34501 %" in claims["What is left"]
    assert claims["Completed"].endswith("LATE")
    assert claims["Erased"] == "1 sample of 3 subjects named; 57 remain"
    assert claims["Differencing"].startswith("no bound against who kept the release before")


def test_on_time_is_until_the_due_time():
    log, said = SignedLog(), statement(0)
    said["predicate"]["completeTime"] = said["predicate"]["dueTime"]
    log.append(said)
    assert dict(accepted(log.files(0)).statement.claims)["Completed"].endswith("on time")


def test_zero_and_empty_may_be_left_out_of_a_bundle_as_protobuf_does():
    log = SignedLog(1)
    document = log.bundle_document(0)
    proof = logged(document)["inclusionProof"]
    del logged(document)["logIndex"], logged(document)["integratedTime"]
    del proof["logIndex"], proof["hashes"]
    accepted({"b": json.dumps(document).encode()})


# Forgeries.


def test_a_statement_that_was_altered():
    envelope = deepcopy(LOG.envelopes[3])
    envelope["payload"] = b64(
        b64decode(envelope["payload"]).replace(b'"erased": 1', b'"erased": 9')
    )
    refused({"e": json.dumps(envelope).encode(), "p": LOG.proof(3)}, "signature does not fit")


def test_a_statement_that_was_altered_and_logged_so():
    """The log holds the forged entry: only the envelope's signature tells."""
    log = SignedLog(3)
    payload = b64(b64decode(log.envelopes[1]["payload"]).replace(b'"erased": 1', b'"erased": 9'))
    log.envelopes[1]["payload"] = payload
    refused(log.files(1), "its signature does not fit")


def test_a_forgery_by_another_key_under_the_trusted_ones_id():
    forger = SignedLog(4, seed=9)
    for envelope in forger.envelopes:
        envelope["signatures"][0]["keyid"] = LOG.key.fingerprint
    for envelope in (forger.dsse(3), LOG.dsse(3)):
        refused({"e": envelope, "p": forger.proof(3)}, "")


def test_a_certificate_of_a_key_that_is_not_trusted():
    refused(SignedLog(4, seed=9).files(3), "no key that you trust")


def test_a_certificate_whose_key_is_nowhere():
    refused({"e": LOG.dsse(3), "p": LOG.proof(3)}, "give --key", trusted=None)


def test_an_own_key_cannot_vouch_for_the_log_of_another():
    refused({"b": LOG.bundle(3, key=Key(9))}, "signed by none of the known keys", trusted=None)


def test_a_signature_of_another_protocol():
    """The same key signs checkpoints; a note is no envelope, whatever its text."""
    envelope = deepcopy(LOG.envelopes[3])
    payload = b64decode(envelope["payload"])
    envelope["signatures"][0]["sig"] = b64(LOG.key.private.sign(payload))
    log = SignedLog(3)
    log.envelopes.append(envelope)
    log.signers.append(log.key)
    refused(log.files(3), "its signature does not fit")


def test_an_envelope_without_any_proof():
    refused({"e": LOG.dsse(3)}, "nothing shows that the log holds it")


def test_a_proof_of_another_certificate():
    refused({"e": LOG.dsse(3), "p": LOG.proof(4)}, "none of the certificates given")
    refused({"e": LOG.dsse(3), "p": LOG.proof(4)}, "nothing shows")


def test_a_proof_alone():
    refused({"p": LOG.proof(4)}, "none of the certificates given")


def test_a_bundle_with_the_proof_of_another_certificate():
    def swap(document):
        document["verificationMaterial"]["tlogEntries"] = [logged(LOG.bundle_document(4))]

    refused(changed_bundle(swap), "that of another certificate")


def test_a_bundle_with_the_path_of_another_certificate():
    def swap(document):
        logged(document)["inclusionProof"] = logged(LOG.bundle_document(4))["inclusionProof"]
        logged(document)["logIndex"] = "4"

    refused(changed_bundle(swap), "not for this certificate")


def test_a_bundle_whose_entry_was_altered():
    def alter(document):
        body = entry(LOG.envelopes[3], LOG.key).replace(b"dsse", b"dssf", 1)
        logged(document)["canonicalizedBody"] = b64(body)

    refused(changed_bundle(alter), "another certificate")


def test_a_log_that_was_never_signed():
    def forge(document):
        text = logged(document)["inclusionProof"]["checkpoint"]["envelope"].partition("\n\n")[0]
        note = Key(9).note(text + "\n", ORIGIN)
        logged(document)["inclusionProof"]["checkpoint"]["envelope"] = note

    refused(changed_bundle(forge), "signed by none of the known keys")


def test_a_checkpoint_that_was_altered():
    """A forged log, under the true log's signature of another checkpoint."""
    forged = SignedLog(9)
    signature = LOG.checkpoint().partition(b"\n\n")[2]
    head, _, rest = forged.proof(3).partition(b"\n\n")
    text = rest.partition(b"\n\n")[0]
    proof = head + b"\n\n" + text + b"\n\n" + signature
    refused({"e": forged.dsse(3), "p": proof}, "altered")


def test_a_certificate_that_names_another_index():
    log = SignedLog(3)
    log.append(statement(0))  # the certificate 0, logged again as entry 3
    refused(log.files(3), "says that it is entry 0")


def test_a_certificate_that_names_another_log():
    log = SignedLog(3)
    log.append(statement(3, "other.example/log"))
    refused(log.files(3), "says that it is entry 3 of other.example/log")


def test_a_log_that_the_key_is_not_meant_for():
    other = SignedLog(4, origin="other.example/log")
    trusted = read_trusted(LOG.key.verifier_key().encode())
    accepted(LOG.files(3), trusted)
    refused(other.files(3), "of another log: other.example/log", trusted=trusted)


def test_one_bad_file_spoils_a_certificate():
    files = LOG.files(3)
    for name, bad in {"3.tlog-proof": LOG.proof(2), "3.sigstore.json": b"{}"}.items():
        refused({**files, name: bad}, "")


def test_two_bundles_of_logs_that_contradict_each_other():
    fork = SignedLog(7)
    fork.append(statement(7) | {"note": "a fork"})
    refused({"a": LOG.bundle(3), "b": fork.bundle(3)}, "two histories")


def test_certificates_of_two_logs_do_not_mix():
    other = SignedLog(8, origin="other.example/log")
    refused({"a": LOG.bundle(3), "b": other.bundle(3)}, "one log at a time")


# What a statement must be.


def set_in(document: dict, path: str, value: object) -> None:
    *folders, last = path.split(".")
    for folder in folders:
        document = document[folder]
    if value is None:
        del document[last]
    else:
        document[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("_type", "https://in-toto.io/Statement/v0.1"),
        ("predicateType", "urn:unlearn:key-rotation:v1"),
        ("predicate", None),
        ("predicate", []),
        ("subject", []),
        ("subject", [{"name": "models/other"}, {"name": "models/m/releases/2"}]),
        ("predicate.model.name", "models/other"),
        ("predicate.erasure", None),
        ("predicate.erasure", 7),
        ("predicate.erasure", "two\nlines"),
        ("predicate.erasure", "\x1b[2Kerased"),
        ("predicate.regulation", "a\u202eb"),
        ("predicate.samples.erased", True),
        ("predicate.samples.erased", -1),
        ("predicate.samples.erased", 1.5),
        ("predicate.samples.erased", 2**63),
        ("predicate.bound", None),
        ("predicate.bound.nats", "0"),
        ("predicate.bound.nats", -0.5),
        ("predicate.bound.nats", None),
        ("predicate.bound.assumptions", "none"),
        ("predicate.completeTime", "2026-01-01 00:00:00Z"),
        ("predicate.completeTime", "2026-01-01T00:00:00+01:00"),
        ("predicate.completeTime", "2026-13-01T00:00:00Z"),
        ("predicate.commitments.subjects.root", "A" * 64),
        ("predicate.commitments.subjects.count", None),
        ("predicate.release.weightsCommitment", None),
        ("predicate.solve.solver", None),
        ("predicate.notCovered", None),
        ("predicate.notCovered", [7]),
        ("predicate.log", None),
        ("predicate.log.index", "0"),
        ("predicate.software.digest", "e" * 63),
    ],
)
def test_a_statement_that_is_none(path, value):
    log, said = SignedLog(), statement(0)
    set_in(said, path, value)
    log.append(said)
    refused(log.files(0), "")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("predicate.commitments.subjects", None),
        ("predicate.commitments", {}),
        ("predicate.solve", None),
        ("predicate.regulation", ""),
        ("predicate.bound.epsilon", "Infinity"),
        ("predicate.added", {"later": [1, "x"]}),
        ("predicate.completeTime", "2026-01-01T00:00:00.123456789Z"),
    ],
)
def test_a_statement_that_lacks_or_adds_what_it_may(path, value):
    log, said = SignedLog(), statement(0)
    set_in(said, path, value)
    log.append(said)
    accepted(log.files(0))


def test_a_statement_without_a_release_after():
    log, said = SignedLog(), statement(0)
    said["subject"].pop()
    said["predicate"]["release"] = {"before": "models/m/releases/1", "after": None}
    log.append(said)
    claims = dict(accepted(log.files(0)).statement.claims)
    assert claims["Release"] == "models/m/releases/1 before, none after: nothing of users is left"


# Bundles and envelopes that break their formats.


@pytest.mark.parametrize(
    ("reason", "change"),
    {
        "2 log entries": lambda d: d["verificationMaterial"]["tlogEntries"].append(logged(d)),
        "0 log entries": lambda d: d["verificationMaterial"]["tlogEntries"].clear(),
        "unknown member 'more'": lambda d: d.update(more=1),
        "unknown member 'inclusionPromise'": lambda d: logged(d).update(inclusionPromise={}),
        "timestamps": lambda d: d["verificationMaterial"].update(
            timestampVerificationData={"rfc3161Timestamps": [{}]}
        ),
        "key hint": lambda d: d["verificationMaterial"]["publicKey"].update(hint="0" * 64),
        "v0.3": lambda d: d.update(
            mediaType="application/vnd.dev.sigstore.bundle+json;version=0.2"
        ),
        "kind dsse": lambda d: logged(d)["kindVersion"].update(version="0.0.1"),
        "two different indices": lambda d: logged(d).update(logIndex="4"),
        "not its checkpoint's": lambda d: logged(d)["inclusionProof"].update(treeSize="9"),
        "treeSize": lambda d: logged(d)["inclusionProof"].update(treeSize=8),
        "63 hashes": lambda d: logged(d)["inclusionProof"].update(hashes=[b64(bytes(32))] * 64),
        "31 bytes": lambda d: logged(d)["inclusionProof"].update(hashes=[b64(bytes(31))]),
        "exactly one signature": lambda d: d["dsseEnvelope"]["signatures"].append(
            d["dsseEnvelope"]["signatures"][0]
        ),
        "payload type": lambda d: d["dsseEnvelope"].update(payloadType="application/json"),
        "canonical base64": lambda d: d["dsseEnvelope"]["signatures"][0].update(
            sig=d["dsseEnvelope"]["signatures"][0]["sig"][:-3] + "h=="
        ),
        "63 bytes": lambda d: d["dsseEnvelope"]["signatures"][0].update(sig=b64(bytes(63))),
        "keyid": lambda d: d["dsseEnvelope"]["signatures"][0].pop("keyid"),
        "not a signed note": lambda d: logged(d)["inclusionProof"]["checkpoint"].update(
            envelope="x"
        ),
    }.items(),
)
def test_a_bundle_that_is_none(reason, change):
    refused(changed_bundle(change), reason)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "proper JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "no DSSE envelope"),
        (b'{"payload": 1, "payload": 1}', "twice"),
        (b'{"payload": NaN}', "NaN"),
        (b'{"payload": -Infinity}', "Infinity"),
        (b'{"payload": 1e999}', "out of range"),
        (b'{"payload": "\\ud800"}', "cannot be shown"),
        (b'{"payload": "\\u001b"}', "cannot be shown"),
        (b'{"payload": ' + b"9" * 5000 + b"}", "proper JSON"),
        (b'{"payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}", ""),
        (b'{"payload":' + b"[" * 33 + b"]" * 33 + b"}", "nested"),
        (b'{"payload":"' + b"A" * 2**22 + b'"}', "larger than"),
        (b"\xff\xfe{}", "UTF-8"),
        (b"\xef\xbb\xbf{}", ""),
    ],
)
def test_a_file_that_is_nothing(content, reason):
    refused({"f": content}, reason)


def test_a_duplicate_key_inside_a_signed_statement():
    """Two readers could see two statements in it, so nobody shall see any."""
    log = SignedLog(1)
    payload = b64decode(log.envelopes[0]["payload"])
    twice = payload.replace(b'"erased": 1', b'"erased": 9, "erased": 1')
    kind = "application/vnd.in-toto+json"
    signature = log.key.private.sign(b"DSSEv1 %d %s %d " % (28, kind.encode(), len(twice)) + twice)
    log.envelopes[0]["payload"] = b64(twice)
    log.envelopes[0]["signatures"][0]["sig"] = b64(signature)
    refused(log.files(0), "a key stands there twice")


PROOF = LOG.proof(3).decode()


@pytest.mark.parametrize(
    "proof",
    {
        "another version": PROOF.replace("@v1", "@v2"),
        "no index": PROOF.replace("index 3\n", ""),
        "an index with a zero in front": PROOF.replace("index 3", "index 03"),
        "an index out of the log": PROOF.replace("index 3", "index 8"),
        "another index": PROOF.replace("index 3", "index 2"),
        "extra data that is no base64": PROOF.replace("index", "extra !\nindex", 1),
        "extra data twice": PROOF.replace("index", "extra QQ==\nextra QQ==\nindex", 1),
        "an empty line too many": PROOF.replace("index 3\n", "index 3\n\n"),
        "no checkpoint": PROOF.partition("\n\n")[0] + "\n\n",
        "carriage returns": PROOF.replace("\n", "\r\n"),
        "a hash too many": PROOF.replace("index 3\n", f"index 3\n{b64(bytes(32))}\n"),
        "many hashes too many": PROOF.replace("index 3\n", f"index 3\n{b64(bytes(32))}\n" * 64),
        "too large": PROOF.replace("index", f"extra {'A' * 2**18}\nindex", 1),
    }.items(),
    ids=lambda item: item[0],
)
def test_a_proof_that_is_none(proof):
    assert proof[1] != PROOF
    refused({"e": LOG.dsse(3), "p": proof[1].encode()}, "")


def test_extra_data_of_a_proof_is_ignored():
    proof = PROOF.replace("index", "extra QQ==\nindex", 1)
    accepted({"e": LOG.dsse(3), "p": proof.encode()})


# Opening the commitments.


def test_an_opening_shows_whom_the_certificate_is_about():
    opening = Opening(SALT, {"subject": SUBJECTS, "sample": frozenset({"3"})})
    proven = accepted(LOG.files(3), opening=opening).proven
    assert "The subjects it was asked for are exactly the 3 given." in proven
    assert "The samples it was asked for are exactly the 1 given." in proven


@pytest.mark.parametrize(
    "opening",
    [
        Opening(SALT, {"subject": SUBJECTS - {"ada"}}),
        Opening(SALT, {"subject": SUBJECTS | {"eve"}}),
        Opening(SALT, {"subject": SUBJECTS - {"ada"} | {"eve"}}),
        Opening(SALT, {"sample": frozenset({"4"})}),
        Opening(SALT, {"sample": SUBJECTS}),
        Opening(bytes(32), {"subject": SUBJECTS}),
    ],
)
def test_an_opening_to_others_is_refused(opening):
    refused(LOG.files(3), "under this salt", opening=opening)


def test_a_certificate_without_commitments_cannot_be_opened():
    log, said = SignedLog(), statement(0)
    said["predicate"]["commitments"] = {}
    log.append(said)
    opening = Opening(SALT, {"subject": SUBJECTS})
    refused(log.files(0), "no commitment to subjects", opening=opening)
