"""What requests came to, and what a certificate tells of it: outcomes of a batch, refusals."""

from collections.abc import Sequence
from datetime import datetime

from unlearn_server.domain import Erasure, Model, Outcome, Release
from unlearn_server.keys import KeyRing
from unlearn_server.log import commitments
from unlearn_server.removal import Removal
from unlearn_server.statements import Case, Commitment, Refused
from unlearning.release import NO_LEAKAGE, Leakage


def cases(
    model: Model,
    batch: Sequence[Erasure],
    removal: Removal,
    keys: KeyRing,
    release: Release | None,
    remaining: int,
    leakage: Leakage,
    now: datetime,
) -> list[Case]:
    """One for each request, in their order.

    Args:
        model: as it was before.
        batch: the requests.
        removal: what they took.
        keys: that reveal their salts.
        release: what the model serves now; a request that took nothing leaves it as it is.
        remaining: samples that the model holds now.
        leakage: what the release tells of what was taken.
        now: when it was done.
    """
    return [
        Case(
            erasure=erasure,
            outcome=_outcome(model, erasure, removal, release, leakage),
            model=model,
            release=release,
            remaining=remaining,
            subjects=_subjects(erasure),
            samples=_samples(erasure, removal.sample_ids.get(erasure.key), keys),
            complete_time=now,
        )
        for erasure in batch
    ]


def refused(erasure: Erasure, ground: str, now: datetime) -> Refused:
    """What is certified where a request is refused now."""
    return Refused(erasure, _subjects(erasure), ground, now)


def _outcome(
    model: Model,
    erasure: Erasure,
    removal: Removal,
    release: Release | None,
    leakage: Leakage,
) -> Outcome:
    erased = removal.counts[erasure.key]
    after = release.number if release else None
    return Outcome(
        model_id=model.model_id,
        method=model.method(erasure.method),
        erased_samples=erased,
        release_before=model.release if erased else after,
        release_after=after,
        solve=release.solve if release else None,
        bound=leakage.bound(removal.cohort) if erased else NO_LEAKAGE.bound(0),
    )


def _subjects(erasure: Erasure) -> Commitment | None:
    root = erasure.subject_root
    return Commitment(len(erasure.selection.hashes), root) if root else None


def _samples(erasure: Erasure, ids: Sequence[str] | None, keys: KeyRing) -> Commitment | None:
    if ids is None or erasure.commitment_salt is None:
        return None
    salt = keys.reveal(erasure.commitment_salt)
    return Commitment(len(ids), commitments.root(salt, "sample", ids))
