"""Certificates of refusals, and of extended requests: what is read, and what is not believed."""

from hashlib import sha256
from typing import Any

import pytest

from tests.unlearn_client.verification.logs import ORIGIN, SALT, SUBJECTS, SignedLog, commitment
from tests.unlearn_client.verification.logs import statement as erasure
from unlearn_client.verification import Opening, Report, read_trusted, verify

NAME = "erasures/3f0c8a52"
EXTENSION = {"extendTime": "2026-01-20T00:00:00Z", "firstDueTime": "2026-02-01T00:00:00Z"}


def refusal(**predicate: Any) -> dict[str, Any]:
    """What the certificate of a refusal says; None takes a member out."""
    said: dict[str, Any] = {
        "erasure": NAME,
        "regulation": "gdpr",
        "receiveTime": "2026-01-01T00:00:00Z",
        "dueTime": "2026-02-01T00:00:00Z",
        "refuseTime": "2026-01-02T00:00:00Z",
        "ground": "gdpr-17-3-b",
        "models": ["models/m", "models/n"],
        "commitments": {"subjects": commitment("subject", SUBJECTS)},
        "notCovered": ["whether the ground applies"],
        "software": {"name": "unlearn-server", "version": "1", "digest": "e" * 64},
        "log": {"origin": ORIGIN, "index": 0},
        **predicate,
    }
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": NAME, "digest": {"sha256": sha256(NAME.encode()).hexdigest()}}],
        "predicateType": "urn:unlearn:refusal:v1",
        "predicate": {name: value for name, value in said.items() if value is not None},
    }


def checked(said: dict[str, Any], **more: Any) -> Report:
    log = SignedLog()
    log.append(said)
    (report,) = verify(log.files(0), read_trusted(log.key.pem.encode()), **more).reports
    return report


def claims(said: dict[str, Any]) -> dict[str, str]:
    report = checked(said)
    assert report.refusal == ""
    assert report.statement is not None
    return dict(report.statement.claims)


def test_what_a_refusal_claims():
    told = claims(refusal())
    assert told == {
        "Refused": f"{NAME} in models/m, models/n",
        "Ground": "gdpr-17-3-b",
        "Regulation": "gdpr",
        "Named": f"{len(SUBJECTS)} subject{'s' * (len(SUBJECTS) > 1)}",
        "Received": "2026-01-01 00:00 UTC",
        "Refused at": "2026-01-02 00:00 UTC, on time",
        "Due": "2026-02-01 00:00 UTC",
        "Software": f"unlearn-server, SHA-256 {'e' * 64}, version 1",
    }


def test_a_late_refusal_says_so():
    assert claims(refusal(refuseTime="2026-02-01T00:00:00.000001Z"))["Refused at"].endswith("LATE")


@pytest.mark.parametrize(
    ("extended", "words"),
    [
        ("2026-01-20T00:00:00Z", "2026-01-20 00:00 UTC; it was due 2026-02-01 00:00 UTC at first"),
        (
            "2026-02-20T00:00:00Z",
            "2026-02-20 00:00 UTC, TOO LATE; it was due 2026-02-01 00:00 UTC at first",
        ),
    ],
)
def test_an_extension_is_told_of_refusals_and_of_erasures(extended, words):
    extension = EXTENSION | {"extendTime": extended}
    done = erasure(0)
    done["predicate"] |= {"extension": extension, "dueTime": "2026-04-01T00:00:00Z"}
    late = refusal(extension=extension, dueTime="2026-04-01T00:00:00Z")
    assert claims(done)["Extended"] == claims(late)["Extended"] == words


@pytest.mark.parametrize(
    "changes",
    [
        {"ground": None},
        {"ground": 7},
        {"refuseTime": None},
        {"models": "models/m"},
        {"models": None},
        {"erasure": "erasures/other"},
        {"notCovered": None},
        {"software": {}},
        {"log": {"origin": ORIGIN, "index": 1}},
        {"extension": {}},
        {"extension": EXTENSION | {"firstDueTime": "soon"}},
    ],
)
def test_a_refusal_that_is_none(changes):
    assert checked(refusal(**changes)).refusal


@pytest.mark.parametrize(
    "subject",
    [
        [],
        [{"name": NAME}],
        [{"name": NAME, "digest": {"sha256": "0" * 64}}],
        [*refusal()["subject"], *refusal()["subject"]],
    ],
)
def test_a_refusal_about_something_else(subject):
    assert "subject" in checked(refusal() | {"subject": subject}).refusal


def test_an_opening_shows_whose_request_was_refused():
    opening = Opening(SALT, {"subject": SUBJECTS})
    assert checked(refusal(), opening=opening).refusal == ""
    assert checked(refusal(), opening=Opening(SALT, {"subject": frozenset({"other"})})).refusal
    assert checked(refusal(commitments={}), opening=opening).refusal
