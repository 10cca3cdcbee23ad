"""What a certificate states: in-toto statements of erasures, refusals and changes of the key.

The schema is documented in ``docs/certificate.md``. Nothing here names a person or a sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from math import isinf
from typing import Any

from unlearn_server import software
from unlearn_server.domain import Erasure, Model, Outcome, Release
from unlearn_server.ledger.log import Head
from unlearning.commitment import description
from unlearning.information import InformationBound
from unlearning.objective import Objective
from unlearning.rounding import SolveReport

STATEMENT = "https://in-toto.io/Statement/v1"
ERASURE = "urn:unlearn:erasure:v1"
REFUSAL = "urn:unlearn:refusal:v1"
KEY_ROTATION = "urn:unlearn:key-rotation:v1"

NOT_COVERED = (
    "Whoever holds the release before and the release after can compare them, and tell from their "
    "difference what was erased; bound.differencingGaussianDp limits that, and Infinity is no "
    "limit.",
    "That the core was trained on nobody's data who can ask to be forgotten is its maker's word; "
    "its digest says which core it is.",
    "If requests were chosen after a release was seen, the samples that remain may themselves tell "
    "of those that were erased.",
    "Predictions that were answered before, and copies of the data outside of this server.",
    "The number of samples erased is disclosed, here.",
)

REFUSAL_NOT_COVERED = (
    "Whether the ground applies is the controller's judgement; a supervisory authority or a court "
    "may see it otherwise.",
    "That the person was told of the refusal, and of the reasons for it.",
    "Nothing was erased by this: the models named may still hold what the request was about.",
)

_ROWS = (
    "The rows of the samples and the keys that decrypt them were deleted from the database in the "
    "transaction that stored this certificate."
)
_WEIGHTS = (
    "The weights, the salt and the commitments of the release before were deleted in the same "
    "transaction."
)


@dataclass(frozen=True)
class Commitment:
    """To how many ids, and the root over them; see ``log.commitments``."""

    count: int
    root: bytes


@dataclass(frozen=True)
class Case:
    """One outcome, with all that its certificate tells.

    Attributes:
        erasure: the request.
        outcome: what it did.
        model: to which model, as it was before.
        release: what the model serves now, if anything.
        remaining: samples that the model holds now.
        subjects, samples: whom and what it was about; None where ids are not known.
        complete_time: when.
    """

    erasure: Erasure
    outcome: Outcome
    model: Model
    release: Release | None
    remaining: int
    subjects: Commitment | None
    samples: Commitment | None
    complete_time: datetime


@dataclass(frozen=True)
class Refused:
    """A request as it was when it was refused, whom it named, on what ground, and when."""

    erasure: Erasure
    subjects: Commitment | None
    ground: str
    refuse_time: datetime


def erasure(case: Case, log: Head, index: int) -> dict[str, Any]:
    """The statement of an outcome, to stand in the log at an index."""
    request, outcome, model = case.erasure, case.outcome, case.model
    predicate = {
        **demand(request),
        "completeTime": rfc3339(case.complete_time),
        "model": {
            "name": f"models/{model.model_id}",
            "digest": _model_digest(model.objective),
            "core": {"name": model.core, "digest": model.objective.core_digest},
        },
        "method": {"name": outcome.method.name, "parameters": _parameters(model.objective)},
        "samples": {"erased": outcome.erased_samples, "remaining": case.remaining},
        "commitments": _commitments(subjects=case.subjects, samples=case.samples),
        "release": _release(case),
        **result(outcome),
        "notCovered": list(NOT_COVERED),
        "destruction": _destruction(outcome),
        "software": _software(),
        "log": {"origin": log.origin, "index": index},
    }
    return _statement(_subjects(case), ERASURE, predicate)


def refusal(case: Refused, log: Head, index: int) -> dict[str, Any]:
    """The statement that a request was refused, to stand in the log at an index.

    Not with the operator's words: what is in the log is public, and stays.
    """
    request = case.erasure
    predicate = {
        **demand(request),
        "refuseTime": rfc3339(case.refuse_time),
        "ground": case.ground,
        "models": [f"models/{model_id}" for model_id in request.waiting],
        "commitments": _commitments(subjects=case.subjects),
        "notCovered": list(REFUSAL_NOT_COVERED),
        "software": _software(),
        "log": {"origin": log.origin, "index": index},
    }
    name = predicate["erasure"]
    subject = {"name": name, "digest": {"sha256": sha256(name.encode()).hexdigest()}}
    return _statement([subject], REFUSAL, predicate)


def demand(request: Erasure) -> dict[str, Any]:
    """What is said of a request itself."""
    demanded: dict[str, Any] = {
        "erasure": f"erasures/{request.request_id}",
        "regulation": request.regulation,
        "receiveTime": rfc3339(request.receive_time),
        "dueTime": rfc3339(request.due_time),
    }
    if request.extension:
        demanded["extension"] = {
            "extendTime": rfc3339(request.extension.extend_time),
            "firstDueTime": rfc3339(request.extension.first_due_time),
        }
    return demanded


def result(outcome: Outcome) -> dict[str, Any]:
    """What an outcome's numbers are: the bound, and how the release was solved for."""
    solve = {"solve": _solve(outcome.solve)} if outcome.solve else {}
    return {"bound": _bound(outcome.bound), **solve}


def replacement(outcome: Outcome) -> dict[str, str | None]:
    """Which release took the place of which."""
    return {
        "before": _release_name(outcome.model_id, outcome.release_before),
        "after": _release_name(outcome.model_id, outcome.release_after),
    }


def rotation(
    previous_pem: str, next_pem: str, next_key_id: str, log: Head, index: int
) -> dict[str, Any]:
    """That the next key signs from here on; the previous one says so."""
    predicate = {
        "previousKey": previous_pem,
        "nextKey": next_pem,
        "origin": log.origin,
        "index": index,
    }
    subject = {"name": log.origin, "digest": {"sha256": next_key_id}}
    return _statement([subject], KEY_ROTATION, predicate)


def rfc3339(time: datetime) -> str:
    """A time in UTC, to the microsecond; its year has four digits, whichever it is."""
    return f"{time.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _statement(
    subjects: list[dict[str, Any]], kind: str, predicate: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": kind,
        "predicate": dict(predicate),
    }


def _subjects(case: Case) -> list[dict[str, Any]]:
    """What in-toto calls subjects: the model, and the release that came of it."""
    name = f"models/{case.model.model_id}"
    subjects = [{"name": name, "digest": {"sha256": _model_digest(case.model.objective)}}]
    if case.release and case.release.weights_commitment:
        digest = {"hmacSha256": case.release.weights_commitment.hex()}
        subjects.append({"name": f"{name}/releases/{case.release.number}", "digest": digest})
    return subjects


def _commitments(**given: Commitment | None) -> dict[str, Any]:
    return {
        name: {"count": commitment.count, "root": commitment.root.hex()}
        for name, commitment in given.items()
        if commitment
    }


def _release(case: Case) -> dict[str, Any]:
    release = case.release
    names: dict[str, Any] = replacement(case.outcome)
    if release and release.weights_commitment and release.state_commitment:
        names["stateCommitment"] = release.state_commitment.hex()
        names["weightsCommitment"] = release.weights_commitment.hex()
    return names


def _release_name(model_id: str, number: int | None) -> str | None:
    return None if number is None else f"models/{model_id}/releases/{number}"


def _solve(report: SolveReport) -> dict[str, Any]:
    return {
        "solver": report.solver,
        "gradientNorm": _number(report.gradient_norm),
        "distanceBound": _number(report.distance_bound),
        "correctlyRounded": report.correctly_rounded,
    }


def _bound(bound: InformationBound) -> dict[str, Any]:
    return {
        "nats": _number(bound.nats),
        "gaussianDp": _number(bound.gaussian_dp),
        "epsilon": _number(bound.epsilon),
        "delta": _number(bound.delta),
        "attackAccuracy": _number(bound.attack_accuracy),
        "attackTpr": _number(bound.attack_tpr),
        "differencingGaussianDp": _number(bound.differencing_gaussian_dp),
        "cohort": bound.cohort,
        "assumptions": list(bound.assumptions),
    }


def _destruction(outcome: Outcome) -> list[str]:
    """Only what was done."""
    if not outcome.erased_samples:
        return []
    replaced = outcome.release_before is not None
    return [_ROWS, _WEIGHTS] if replaced else [_ROWS]


def _software() -> dict[str, Any]:
    return {"name": software.NAME, **vars(software.running())}


# Many certificates of a batch are of one model, and describing it takes as long as signing.


@lru_cache
def _model_digest(objective: Objective) -> str:
    return description(objective).hex()


@lru_cache
def _parameters(objective: Objective) -> dict[str, Any]:
    return objective.to_json()


def _number(value: float) -> float | str:
    """As protobuf's JSON writes it: JSON has no infinity."""
    return "Infinity" if isinf(value) else value
