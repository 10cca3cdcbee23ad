"""What the statement of a refusal claims: a request was not carried out, and on what ground."""

from collections.abc import Iterator
from hashlib import sha256

from unlearn_client.errors import VerificationError
from unlearn_client.verification.members import Members
from unlearn_client.verification.wording import many, regulation, software, times

TYPE = "urn:unlearn:refusal:v1"
SUMMARY = ("Refused", "Ground", "Refused at")
LOG = "predicate.log"
NOT_COVERED = "predicate.notCovered"


def check_subject(members: Members) -> None:
    """The request that the statement is about must be the one it tells of."""
    told = members.text("predicate.erasure")
    digest = {"sha256": sha256(told.encode()).hexdigest()}
    subjects = [(each.get("name"), each.get("digest")) for each in members.objects("subject")]
    if subjects != [(told, digest)]:
        raise VerificationError("the statement's subject is not the request it tells of")


def claims(members: Members) -> Iterator[tuple[str, str]]:
    """In plain words: (what, words)."""
    models = members.texts("predicate.models")
    yield "Refused", f"{members.text('predicate.erasure')} in {', '.join(models)}"
    yield "Ground", members.text("predicate.ground")
    yield from regulation(members)
    if members.has("predicate.commitments.subjects"):
        yield "Named", many(members.count("predicate.commitments.subjects.count"), "subject")
    yield from times(members, "refuse", "Refused at")
    yield "Software", software(members)
