"""What a certificate says: an in-toto Statement v1 about one erasure in one model.

All of it is the claim of the key's owner. Members that are not known here are ignored,
as in-toto demands; ``document`` keeps them.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import isinf
from typing import Any

from unlearn_client.errors import VerificationError
from unlearn_client.verification.encoding import json_object
from unlearn_client.verification.envelopes import MAX_ENVELOPE_BYTES
from unlearn_client.verification.keyrings import STATEMENT_TYPE
from unlearn_client.verification.members import Members

ERASURE_TYPE = "urn:unlearn:erasure:v1"

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)


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
        origin: of the log that it says it is in.
        index: where it says that it stands.
        commitments: to the ids erased, by kind: subject, sample; one may be missing.
        claims: what it says was done, in plain words: (what, words).
        not_covered: what it says that it does not promise.
    """

    document: dict[str, Any]
    origin: str
    index: int
    commitments: dict[str, Commitment]
    claims: tuple[tuple[str, str], ...]
    not_covered: tuple[str, ...]


def read_statement(payload: bytes) -> Statement:
    """Reads an erasure's statement.

    Raises:
        VerificationError: it is malformed, or about something else.
    """
    document = json_object(payload, "the statement", MAX_ENVELOPE_BYTES)
    types = document.get("_type"), document.get("predicateType")
    if types != (STATEMENT_TYPE, ERASURE_TYPE):
        raise VerificationError("the statement is not about an erasure")
    members = Members(document, "the statement")
    _check_subject(members)
    return Statement(
        document=document,
        origin=members.text("predicate.log.origin"),
        index=members.count("predicate.log.index"),
        commitments=dict(_commitments(members)),
        claims=tuple(_claims(members)),
        not_covered=tuple(members.texts("predicate.notCovered")),
    )


def _check_subject(members: Members) -> None:
    """The model and the release that the statement is about must be those it tells of."""
    names = [subject.get("name") for subject in members.objects("subject")]
    told = [members.text("predicate.model.name")]
    if members.has("predicate.release.after"):
        told.append(members.text("predicate.release.after"))
    if names != told:
        raise VerificationError("the statement's subject is not the model and release it tells of")


def _commitments(members: Members) -> Iterator[tuple[str, Commitment]]:
    for kind in ("subject", "sample"):
        path = f"predicate.commitments.{kind}s"
        if members.has(path):
            yield kind, Commitment(members.count(f"{path}.count"), members.digest(f"{path}.root"))


def _claims(members: Members) -> Iterator[tuple[str, str]]:
    yield (
        "Erasure",
        f"{members.text('predicate.erasure')} in {members.text('predicate.model.name')}",
    )
    yield (
        "Regulation",
        members.text("predicate.regulation")
        if members.get("predicate.regulation")
        else "none named",
    )
    yield "Erased", _counts(members)
    yield "Method", _method(members)
    yield from _times(members)
    yield "Release", _release(members)
    yield from _solve(members)
    yield "What is left", _bound(members)
    yield "Differencing", _differencing(members)
    for assumption in members.texts("predicate.bound.assumptions"):
        yield "Assuming", assumption
    for step in members.texts("predicate.destruction"):
        yield "Destroyed", step
    yield "Core", _named(members, "predicate.model.core")
    yield "Software", _software(members)


def _counts(members: Members) -> str:
    erased = members.count("predicate.samples.erased")
    remaining = members.count("predicate.samples.remaining")
    subjects = members.get("predicate.commitments.subjects.count")
    about = f" of {_many(subjects, 'subject')} named" if type(subjects) is int else ""
    return f"{_many(erased, 'sample')}{about}; {remaining} remain"


def _method(members: Members) -> str:
    name, parameters = (
        members.text("predicate.method.name"),
        members.get("predicate.method.parameters"),
    )
    return f"{name} {json.dumps(parameters)}" if parameters else name


def _times(members: Members) -> Iterator[tuple[str, str]]:
    received, due, complete = (
        read_time(members, f"predicate.{name}Time") for name in ("receive", "due", "complete")
    )
    yield "Received", minute(received)
    yield "Completed", f"{minute(complete)}, {'on time' if complete <= due else 'LATE'}"
    yield "Due", minute(due)


def read_time(members: Members, path: str) -> datetime:
    """The time at a path.

    Raises:
        VerificationError: something else stands there, or nothing.
    """
    text = members.text(path)
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        # Microseconds are all that datetime holds; finer ones decide nothing here.
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise members.error(path, "a time such as 2030-01-31T12:00:00Z") from None


def minute(time: datetime) -> str:
    """A time as people read it."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _release(members: Members) -> str:
    before, after = (
        members.text(path) if members.has(path) else "none"
        for path in ("predicate.release.before", "predicate.release.after")
    )
    if after == "none":
        return f"{before} before, none after: the core alone answers"
    weights = members.digest("predicate.release.weightsCommitment")
    members.digest("predicate.release.stateCommitment")
    return f"{before} before, {after} after, whose weights' commitment is {weights}"


def _solve(members: Members) -> Iterator[tuple[str, str]]:
    if not members.has("predicate.solve"):
        return
    solver = members.text("predicate.solve.solver")
    distance = members.number("predicate.solve.distanceBound")
    rounded = members.get("predicate.solve.correctlyRounded") is True
    proof = "the rounded optimum, bit for bit" if rounded else f"within {_plain(distance)} of it"
    yield "Solve", f"{solver}: {proof}"


def _bound(members: Members) -> str:
    nats, epsilon, delta, accuracy, tpr = (
        members.number(f"predicate.bound.{name}")
        for name in ("nats", "epsilon", "delta", "attackAccuracy", "attackTpr")
    )
    return (
        f"at most {_plain(nats)} nats; the best attack is right {_percent(accuracy)} of the time "
        f"(a coin toss: 50 %) and finds {_percent(tpr)} at 1 % of false alarms; "
        f"(ε, δ) = ({_plain(epsilon)}, {_plain(delta)})"
    )


def _differencing(members: Members) -> str:
    mu = members.number("predicate.bound.differencingGaussianDp")
    cohort = members.count("predicate.bound.cohort")
    bound = "no bound" if isinf(mu) else f"{_plain(mu)}-Gaussian differential privacy"
    return (
        f"{bound} against who kept the release before; the two differ by {_many(cohort, 'subject')}"
    )


def _software(members: Members) -> str:
    version = members.text("predicate.software.version")
    return f"{_named(members, 'predicate.software')}, version {version}"


def _named(members: Members, path: str) -> str:
    return f"{members.text(f'{path}.name')}, SHA-256 {members.digest(f'{path}.digest')}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _plain(number: float) -> str:
    """Not rounded: a bound that is rounded down is none."""
    return repr(number).removesuffix(".0")


def _percent(share: float) -> str:
    return f"{_plain(float(Decimal(repr(share)) * 100))} %"
