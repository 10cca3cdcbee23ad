"""What a certificate says: an in-toto Statement v1 of an erasure, a refusal or a changed key.

All of it is the claim of the key's owner. Members that are not known here are ignored,
as in-toto demands; ``document`` keeps them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unlearn_client.errors import VerificationError
from unlearn_client.verification import erasures, refusals, rotations
from unlearn_client.verification.encoding import json_object
from unlearn_client.verification.envelopes import MAX_ENVELOPE_BYTES
from unlearn_client.verification.keyrings import STATEMENT_TYPE
from unlearn_client.verification.members import Members

_KINDS = {kind.TYPE: kind for kind in (erasures, refusals, rotations)}


@dataclass(frozen=True)
class Commitment:
    """To a set of ids.

    Attributes:
        count: how many.
        root: 64 hexadecimal digits.
    """

    count: int
    root: str


@dataclass(frozen=True)
class Statement:
    """A certificate's content.

    Attributes:
        document: all of it.
        kind: its predicate's type.
        origin: of the log that it says it is in.
        index: where it says that it stands.
        commitments: to the ids it is about, by kind: subject, sample; one may be missing.
        claims: what it says was done, in plain words: (what, words).
        summary: the same in a line.
        not_covered: what it says that it does not promise.
    """

    document: dict[str, Any]
    kind: str
    origin: str
    index: int
    commitments: dict[str, Commitment]
    claims: tuple[tuple[str, str], ...]
    summary: str
    not_covered: tuple[str, ...]


def read_statement(payload: bytes) -> Statement:
    """Reads a certificate's statement.

    Raises:
        VerificationError: it is malformed, or about something else.
    """
    document = json_object(payload, "the statement", MAX_ENVELOPE_BYTES)
    members = Members(document, "the statement")
    kind = _KINDS.get(members.text("predicateType"))
    if document.get("_type") != STATEMENT_TYPE or kind is None:
        raise VerificationError("the statement is about no erasure, no refusal and no changed key")
    kind.check_subject(members)
    claims = tuple(kind.claims(members))
    return Statement(
        document=document,
        kind=kind.TYPE,
        origin=members.text(f"{kind.LOG}.origin"),
        index=members.count(f"{kind.LOG}.index"),
        commitments=dict(_commitments(members)),
        claims=claims,
        summary="; ".join(words for what, words in claims if what in kind.SUMMARY),
        not_covered=tuple(members.texts(kind.NOT_COVERED)) if kind.NOT_COVERED else (),
    )


def _commitments(members: Members) -> Iterator[tuple[str, Commitment]]:
    for kind in ("subject", "sample"):
        path = f"predicate.commitments.{kind}s"
        if members.has(path):
            yield kind, Commitment(members.count(f"{path}.count"), members.digest(f"{path}.root"))
