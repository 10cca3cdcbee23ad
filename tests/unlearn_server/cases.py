"""Outcomes to certify, of no server."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from unlearn_server.domain import (
    Erasure,
    ErasureState,
    Method,
    Model,
    Outcome,
    Release,
    ReleaseState,
    Selection,
    SelectionKind,
)
from unlearn_server.statements import Case, Commitment
from unlearning.objective import Objective
from unlearning.release import NO_LEAKAGE
from unlearning.rounding import SolveReport

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
SOLVE = SolveReport("exact", 1e-9, 2e-9, True)
OBJECTIVE = Objective(
    core_digest="c0" * 32,
    feature_map="identity",
    width=3,
    feature_bound=4.0,
    ridge=5,
    label_scale=7,
    classes=("cat", "dog"),
)
MODEL = Model(1, "m", "features:2", OBJECTIVE, 0, 9, 3, 1, NOW, 1)
RELEASE = Release(2, ReleaseState.SERVING, 7, SOLVE, NOW, None, None, b"w" * 32, b"s" * 32)


def case(name: str = "request", **changes: Any) -> Case:
    """Two samples taken by a request of this id; ``changes`` to the case."""
    erasure = Erasure(
        key=1,
        request_id=name,
        fingerprint=b"",
        selection=Selection(SelectionKind.SUBJECTS, (b"h" * 32,)),
        subject_root=b"r" * 32,
        commitment_salt=b"s" * 32,
        models=("m",),
        method=Method.EXACT,
        regulation="gdpr",
        state=ErasureState.PENDING,
        state_reason="",
        outcomes=(),
        receive_time=NOW,
        due_time=NOW,
        complete_time=None,
    )
    outcome = Outcome("m", Method.EXACT, 2, 1, 2, SOLVE, NO_LEAKAGE.bound(1))
    told = Case(
        erasure=erasure,
        outcome=outcome,
        model=MODEL,
        release=RELEASE,
        remaining=7,
        subjects=Commitment(1, b"r" * 32),
        samples=Commitment(2, b"t" * 32),
        complete_time=NOW,
    )
    return replace(told, **changes)
