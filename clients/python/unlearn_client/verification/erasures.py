"""What the statement of an erasure claims: what was done in one model."""

import json
from collections.abc import Iterator
from math import isinf

from unlearn_client.errors import VerificationError
from unlearn_client.verification.members import Members
from unlearn_client.verification.wording import (
    many,
    named,
    percent,
    plain,
    regulation,
    software,
    times,
)

TYPE = "urn:unlearn:erasure:v1"
SUMMARY = ("Erasure", "Erased", "Completed")
LOG = "predicate.log"
NOT_COVERED = "predicate.notCovered"


def check_subject(members: Members) -> None:
    """The model and the release that the statement is about must be those it tells of."""
    names = [subject.get("name") for subject in members.objects("subject")]
    told = [members.text("predicate.model.name")]
    if members.has("predicate.release.after"):
        told.append(members.text("predicate.release.after"))
    if names != told:
        raise VerificationError("the statement's subject is not the model and release it tells of")


def claims(members: Members) -> Iterator[tuple[str, str]]:
    """In plain words: (what, words)."""
    yield (
        "Erasure",
        f"{members.text('predicate.erasure')} in {members.text('predicate.model.name')}",
    )
    yield from regulation(members)
    yield "Erased", _counts(members)
    yield "Method", _method(members)
    yield from times(members, "complete", "Completed")
    yield "Release", _release(members)
    yield from _solve(members)
    yield "What is left", _bound(members)
    yield "Differencing", _differencing(members)
    for assumption in members.texts("predicate.bound.assumptions"):
        yield "Assuming", assumption
    for step in members.texts("predicate.destruction"):
        yield "Destroyed", step
    yield "Core", named(members, "predicate.model.core")
    yield "Software", software(members)


def _counts(members: Members) -> str:
    erased = members.count("predicate.samples.erased")
    remaining = members.count("predicate.samples.remaining")
    subjects = members.get("predicate.commitments.subjects.count")
    about = f" of {many(subjects, 'subject')} named" if type(subjects) is int else ""
    return f"{many(erased, 'sample')}{about}; {remaining} remain"


def _method(members: Members) -> str:
    name, parameters = (
        members.text("predicate.method.name"),
        members.get("predicate.method.parameters"),
    )
    return f"{name} {json.dumps(parameters)}" if parameters else name


def _release(members: Members) -> str:
    before, after = (
        members.text(path) if members.has(path) else "none"
        for path in ("predicate.release.before", "predicate.release.after")
    )
    if after == "none":
        return f"{before} before, none after: nothing of users is left"
    weights = members.digest("predicate.release.weightsCommitment")
    members.digest("predicate.release.stateCommitment")
    return f"{before} before, {after} after, whose weights' commitment is {weights}"


def _solve(members: Members) -> Iterator[tuple[str, str]]:
    if not members.has("predicate.solve"):
        return
    solver = members.text("predicate.solve.solver")
    distance = members.number("predicate.solve.distanceBound")
    rounded = members.get("predicate.solve.correctlyRounded") is True
    near = f"within {plain(distance)} of the optimum, before any noise"
    proof = "the rounded optimum, bit for bit" if rounded else near
    yield "Solve", f"{solver}: {proof}"


def _bound(members: Members) -> str:
    nats, epsilon, delta, accuracy, tpr = (
        members.number(f"predicate.bound.{name}")
        for name in ("nats", "epsilon", "delta", "attackAccuracy", "attackTpr")
    )
    return (
        f"at most {plain(nats)} nats; the best attack is right {percent(accuracy)} of the time "
        f"(a coin toss: 50 %) and finds {percent(tpr)} at 1 % of false alarms; "
        f"(ε, δ) = ({plain(epsilon)}, {plain(delta)})"
    )


def _differencing(members: Members) -> str:
    mu = members.number("predicate.bound.differencingGaussianDp")
    cohort = members.count("predicate.bound.cohort")
    bound = "no bound" if isinf(mu) else f"{plain(mu)}-Gaussian differential privacy"
    return (
        f"{bound} against who kept the release before; the two differ by {many(cohort, 'subject')}"
    )
