"""Certificates read back: what a leaf, and the journal beside it, tell of an outcome."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from unlearn_server.domain import Extension, Method, Outcome
from unlearn_server.journal.records import Remembered
from unlearn_server.log import envelopes
from unlearning.information import InformationBound
from unlearning.rounding import SolveReport


@dataclass(frozen=True)
class Certificate:
    """What a leaf says, and what the journal says beside it.

    Attributes:
        index: in the log.
        told: by the journal.
        kind: the predicate's type, see ``statements``.
        predicate: of the statement.
    """

    index: int
    told: Remembered
    kind: str
    predicate: Mapping[str, Any]

    @classmethod
    def of(cls, told: Remembered) -> "Certificate":
        """Reads a leaf."""
        statement = json.loads(envelopes.from_json(told.leaf.envelope).payload)
        return cls(told.leaf.index, told, statement["predicateType"], statement["predicate"])

    @property
    def model_id(self) -> str:
        """Of the model that it is of."""
        return _own(self.predicate["model"]["name"])

    @property
    def end_time(self) -> datetime:
        """When the request was carried out, or refused."""
        return time(self.predicate.get("completeTime") or self.predicate["refuseTime"])

    @property
    def extension(self) -> Extension | None:
        """That the request might take longer; why was not certified."""
        told = self.predicate.get("extension")
        return told and Extension(time(told["extendTime"]), "", time(told["firstDueTime"]))

    @property
    def due_time(self) -> datetime:
        """When the request was due at last."""
        return time(self.predicate["dueTime"])


def outcome(certificate: Certificate) -> Outcome:
    """What was done."""
    told = certificate.predicate
    return Outcome(
        model_id=certificate.model_id,
        method=Method[told["method"]["name"]],
        erased_samples=told["samples"]["erased"],
        release_before=_number(told["release"]["before"]),
        release_after=_number(told["release"]["after"]),
        solve=_solve(told["solve"]) if "solve" in told else None,
        bound=_bound(told["bound"]),
        certificate=certificate.index,
    )


def _solve(told: Mapping[str, Any]) -> SolveReport:
    return SolveReport(
        solver=told["solver"],
        gradient_norm=float(told["gradientNorm"]),
        distance_bound=float(told["distanceBound"]),
        correctly_rounded=told["correctlyRounded"],
    )


def _bound(told: Mapping[str, Any]) -> InformationBound:
    return InformationBound(
        nats=float(told["nats"]),
        gaussian_dp=float(told["gaussianDp"]),
        epsilon=float(told["epsilon"]),
        delta=float(told["delta"]),
        attack_accuracy=float(told["attackAccuracy"]),
        attack_tpr=float(told["attackTpr"]),
        differencing_gaussian_dp=float(told["differencingGaussianDp"]),
        cohort=told["cohort"],
        assumptions=tuple(told["assumptions"]),
    )


def _number(release: str | None) -> int | None:
    return None if release is None else int(_own(release))


def _own(name: str) -> str:
    """The last part of a resource's name."""
    return name.rpartition("/")[2]


def time(text: str) -> datetime:
    """A time as certificates write it."""
    return datetime.fromisoformat(text)
