"""A log that changes its key: each certificate is checked with the key of its time."""

import json
from base64 import b64decode
from copy import deepcopy

import pytest

from tests.unlearn_client.verification.logs import ORIGIN, Key, SignedLog
from unlearn_client.errors import VerificationError
from unlearn_client.verification import open_log, read_trusted, verify


def rotated() -> SignedLog:
    """Entries 0 to 2 by the first key, 3 the rotation, 4 and 5 by the second, 6, then 7 and 8."""
    log = SignedLog(3)
    for seed in (2, 3):
        log.rotate(seed)
        log.append()
        log.append()
    return log


LOG = rotated()
FIRST, SECOND, THIRD = Key(1), Key(2), Key(3)
CERTIFICATES = [0, 2, 4, 5, 7, 8]


def refusals(index: int, trusted, log=None) -> list[str]:
    return [report.refusal for report in verify(LOG.files(index), trusted, log).reports]


@pytest.mark.parametrize("index", CERTIFICATES)
def test_keys_json_reaches_every_time(index):
    assert refusals(index, read_trusted(LOG.keys_json())) == [""]


@pytest.mark.parametrize("index", CERTIFICATES)
def test_the_logs_own_keys_json_reaches_from_a_trusted_key_to_later_ones(index, tmp_path):
    log = open_log(str(LOG.publish(tmp_path)), 5)
    assert refusals(index, read_trusted(FIRST.pem.encode()), log) == [""]
    assert refusals(index, read_trusted(FIRST.verifier_key().encode()), log) == [""]
    assert refusals(index, None, log) == [""]


def test_no_key_reaches_back(tmp_path):
    log = open_log(str(LOG.publish(tmp_path)), 5)
    trusted = read_trusted(SECOND.pem.encode())
    assert refusals(7, trusted, log) == [""]
    assert all("no key that you trust" in refusal for refusal in refusals(2, trusted, log)[:2])


def test_without_keys_json_a_later_key_is_a_strangers():
    for refusal in refusals(7, read_trusted(FIRST.pem.encode()))[:2]:
        assert "no key that you trust" in refusal
    (refusal,) = refusals(2, read_trusted(FIRST.pem.encode()))
    assert "give its keys.json" in refusal


def test_own_keys_must_be_of_one_owner(tmp_path):
    """Else a stranger's key could sign the log that a true certificate is in."""
    files = {"a": LOG.bundle(8), "b": SignedLog(3, seed=9).bundle(1)}
    with pytest.raises(VerificationError, match="none of which endorsed another"):
        verify(files)
    files = {"a": LOG.bundle(8), "b": LOG.bundle(4), "c": LOG.bundle(0)}
    with pytest.raises(VerificationError, match="none of which endorsed another"):
        verify(files)
    for order in (files, dict(reversed(files.items()))):
        assert verify(order, log=open_log(str(LOG.publish(tmp_path)), 5)).verified


def test_a_keyring_extended_twice_is_the_same():
    trusted = read_trusted(LOG.keys_json())
    assert trusted.extended(LOG.keys_json()) == trusted
    assert [(known.first, known.last) for known in trusted.keys] == [(0, 3), (4, 6), (7, None)]


def test_a_key_that_handed_over_signs_no_more_certificates():
    """Whoever stole the first key can still sign, and even log, what nobody may believe."""
    log = rotated()
    log.append(key=FIRST)
    (report,) = verify(log.files(9), read_trusted(log.keys_json())).reports
    assert "outside that key's time" in report.refusal


def test_a_key_signs_no_certificates_before_its_time():
    log = SignedLog(1)
    log.append(key=SECOND)
    log.rotate(2)
    (report,) = verify(log.files(1), read_trusted(log.keys_json())).reports
    assert "outside that key's time" in report.refusal


def test_a_key_that_handed_over_signs_no_more_checkpoints():
    trusted = read_trusted(LOG.keys_json())
    for size in (3, 4):  # at size 4 it has just handed over
        files = {"b": LOG.bundle(1, size, FIRST)}
        assert [report.refusal for report in verify(files, trusted).reports] == [""]
    (report,) = verify({"b": LOG.bundle(1, 5, FIRST)}, trusted).reports
    assert "after it handed over" in report.refusal


def test_a_rotation_says_which_key_follows():
    (report,) = verify(LOG.files(3), read_trusted(LOG.keys_json())).reports
    assert report.statement
    assert report.statement.index == 3
    ((_, words),) = report.statement.claims
    place = f"in the place of {FIRST.fingerprint}"
    assert words == f"{SECOND.fingerprint} signs the log from here on, {place}"


@pytest.mark.parametrize(
    "said",
    [
        {"index": 2},
        {"origin": "another.example/log"},
        {"nextKey": FIRST.pem},
        {"nextKey": "no key"},
        {"previousKey": None},
    ],
)
def test_a_rotation_that_tells_something_else_is_refused(said):
    log = SignedLog(3)
    log.append(json.loads(b64decode(endorsed(FIRST, **said)["payload"])))
    (report,) = verify(log.files(3), read_trusted(FIRST.pem.encode())).reports
    assert report.refusal
    log = SignedLog(3)
    log.append(json.loads(b64decode(endorsed(FIRST)["payload"])))
    (report,) = verify(log.files(3), read_trusted(FIRST.pem.encode())).reports
    assert not report.refusal


def listing(change) -> bytes:
    document = deepcopy(json.loads(LOG.keys_json()))
    change(document["keys"])
    return json.dumps(document).encode()


def endorsed(by: Key, **said) -> dict:
    """A rotation from the first key to the second, but for what is said otherwise."""
    log = SignedLog(3)
    log.rotate(2)
    statement = json.loads(b64decode(log.envelopes[3]["payload"]))
    kind = said.pop("kind", statement["predicateType"])
    predicate = {**statement["predicate"], **said}
    return by.envelope({**statement, "predicateType": kind, "predicate": predicate})


@pytest.mark.parametrize(
    "change",
    {
        "no endorsement": lambda keys: keys[1].update(endorsement=None),
        "the endorsement of another": lambda keys: keys[1].update(
            endorsement=keys[2]["endorsement"]
        ),
        "a key left out": lambda keys: keys.pop(1),
        "a key put in": lambda keys: keys[2].update(
            publicKey=Key(9).pem, verifierKey=Key(9).verifier_key()
        ),
        "endorsed by itself": lambda keys: keys[1].update(endorsement=endorsed(SECOND)),
        "endorsed for another log": lambda keys: keys[1].update(
            endorsement=endorsed(FIRST, origin="other.example/log")
        ),
        "endorsed as another key": lambda keys: keys[1].update(
            endorsement=endorsed(FIRST, nextKey=THIRD.pem)
        ),
        "endorsed in another key's name": lambda keys: keys[1].update(
            endorsement=endorsed(FIRST, previousKey=THIRD.pem)
        ),
        "endorsed by a statement of another kind": lambda keys: keys[1].update(
            endorsement=endorsed(FIRST, kind="urn:unlearn:erasure:v1")
        ),
        "endorsed without an index": lambda keys: keys[1].update(
            endorsement=endorsed(FIRST, index=None)
        ),
        "endorsed before its own time": lambda keys: keys[2].update(
            endorsement=endorsed(SECOND, previousKey=SECOND.pem, nextKey=THIRD.pem, index=2)
        ),
        "another's verifier key": lambda keys: keys[1].update(verifierKey=FIRST.verifier_key()),
        "a verifier key of another log": lambda keys: keys[0].update(
            verifierKey=FIRST.verifier_key("other.example/log")
        ),
        "a key twice": lambda keys: keys.append(
            keys[0]
            | {"endorsement": endorsed(THIRD, previousKey=THIRD.pem, nextKey=FIRST.pem, index=9)}
        ),
        "no key": lambda keys: keys.clear(),
    }.items(),
    ids=lambda item: item[0],
)
def test_a_keys_json_that_shows_no_chain(change):
    with pytest.raises(VerificationError, match=r"keys.json|endorsement|verifier key"):
        read_trusted(listing(change[1]))


def test_a_keys_json_of_another_log_extends_nothing(tmp_path):
    other = SignedLog(1, origin="other.example/log")
    LOG.publish(tmp_path)
    (tmp_path / "keys.json").write_bytes(other.keys_json())
    trusted, log = read_trusted(FIRST.verifier_key().encode()), open_log(str(tmp_path), 5)
    with pytest.raises(VerificationError, match=r"keys.json is of another log"):
        verify(LOG.files(2), trusted, log)


P256 = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2slOf8eZcj2moW2t4UFj7vCL6QpD
zkDqqSUmm4OJCVvIauKLxm0aGs3VMPPfauMPaMutn0/s3jg0rroFxoicyg==
-----END PUBLIC KEY-----
"""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"key",
        b"{}",
        P256.encode(),
        FIRST.pem.encode().replace(b"MCow", b"MCox"),
        b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
        b"\xff",
        b"x" * 5000,
        LOG.keys_json().replace(ORIGIN.encode(), b"", 1),
    ],
)
def test_what_is_no_key(content):
    with pytest.raises(VerificationError):
        read_trusted(content)


def test_a_key_file_may_end_in_a_line_break():
    text = f"{FIRST.verifier_key()}\n"
    assert read_trusted(text.encode()).keys[0].origin == ORIGIN
