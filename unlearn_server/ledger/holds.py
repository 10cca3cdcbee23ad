"""Holds: a subject's erasure is suspended until they are lifted (GDPR Art. 17(3)).

A hold applies to an erasure in two cases: the erasure names the subject, whether or not a
sample of theirs is held; or a USER sample that it has yet to erase is about the subject.
Outcomes that it has are done; what is left of it waits, whole, as HELD.

An erasure that is open is HELD if and only if a hold applies to it. Four things can change
that, and each sets it right in its own transaction: an erasure is accepted (``mark``), a hold
is placed or samples are added (``suspend``), a hold is lifted (``resume``). Writers take turns,
so none of them misses another. Whoever carries an erasure out commits only if it still may.

Whom a hold is on is kept as a keyed hash while it lasts, and forgotten when it is lifted.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from unlearn_server.domain import Erasure, ErasureState, Hold, Retention, SelectionKind
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger import erasures
from unlearn_server.ledger.batches import BATCH, batches
from unlearn_server.ledger.schema import holds, models, samples

WAITS = "a hold applies to it; it goes on once that is lifted"
"""What is told of an erasure that is HELD."""

_HOLDABLE_STATES = erasures.OPEN_STATES - {ErasureState.HELD}

_COLUMNS = (
    holds.c.key,
    holds.c.hold_id,
    holds.c.reason,
    holds.c.place_time,
    holds.c.lift_time,
)
_HASHES: sa.BindParameter[Any] = sa.bindparam("hashes", expanding=True)
_LASTS = holds.c.lift_time.is_(None)
_SUBJECTS = sa.select(holds.c.subject_hash).where(_LASTS)
_USER_SAMPLES = (
    sa.select(models.c.model_id, samples.c.sample_hash)
    .select_from(
        holds.join(samples, samples.c.subject_hash == holds.c.subject_hash).join(
            models, models.c.key == samples.c.model_key
        )
    )
    .where(_LASTS, samples.c.retention == Retention.USER)
)
_SAMPLES = _USER_SAMPLES.where(samples.c.sample_hash.in_(_HASHES))
_MODELS = _USER_SAMPLES.with_only_columns(models.c.model_id).distinct()


def apply_in(conn: Connection, model_id: str) -> bool:
    """Whether one suspends the erasure of a sample in a model."""
    return conn.execute(_MODELS.where(models.c.model_id == model_id)).first() is not None


def place(
    conn: Connection, hold_id: str, subject_hash: bytes, reason: str, place_time: datetime
) -> Hold:
    """Places a hold; ``suspend`` follows."""
    conn.execute(
        sa.insert(holds).values(
            hold_id=hold_id, subject_hash=subject_hash, reason=reason, place_time=place_time
        )
    )
    return get(conn, hold_id)


def lift(conn: Connection, hold_id: str, lift_time: datetime) -> Hold:
    """Lifts a hold, if that was not done before; ``resume`` follows.

    Raises:
        ServiceError: HOLD_NOT_FOUND if there never was one.
    """
    conn.execute(
        sa.update(holds)
        .where(holds.c.hold_id == hold_id, _LASTS)
        .values(lift_time=lift_time, subject_hash=None)
    )
    return get(conn, hold_id)


def get(conn: Connection, hold_id: str) -> Hold:
    """Finds a hold by its id.

    Raises:
        ServiceError: HOLD_NOT_FOUND if there never was one.
    """
    row = conn.execute(sa.select(*_COLUMNS).where(holds.c.hold_id == hold_id)).one_or_none()
    if row is None:
        message = "name: there is no such hold; ListHolds names those there are"
        raise ServiceError(Reason.HOLD_NOT_FOUND, message, field="name")
    return Hold(*row)


def page(conn: Connection, after_key: int, limit: int) -> list[Hold]:
    """The next holds in the order they were placed in, lifted ones included."""
    query = sa.select(*_COLUMNS).where(holds.c.key > after_key).order_by(holds.c.key).limit(limit)
    return [Hold(*row) for row in conn.execute(query)]


def within(conn: Connection, start: datetime, end: datetime) -> list[Hold]:
    """The holds that lasted at some time from ``start`` until before ``end``, as placed."""
    lasted = (holds.c.place_time < end) & (_LASTS | (holds.c.lift_time >= start))
    query = sa.select(*_COLUMNS).where(lasted).order_by(holds.c.key)
    return [Hold(*row) for row in conn.execute(query)]


def last_for(conn: Connection, subjects: Collection[bytes]) -> bool:
    """Whether a hold lasts on one of these subjects."""
    query = _SUBJECTS.where(holds.c.subject_hash.in_(_HASHES)).limit(1)
    return any(
        conn.scalar(query, {"hashes": batch}) is not None for batch in batches(tuple(subjects))
    )


def mark(conn: Connection, new: Sequence[Erasure]) -> list[Erasure]:
    """Erasures about to be accepted, those that a hold applies to as HELD."""
    held = _touched(conn, new)
    return [
        replace(each, state=ErasureState.HELD, state_reason=WAITS)
        if each.request_id in held
        else each
        for each in new
    ]


def suspend(conn: Connection) -> None:
    """Makes HELD what a hold has come to apply to."""
    for those in _pages(conn, _HOLDABLE_STATES):
        held = _touched(conn, those)
        keys = [each.key for each in those if each.request_id in held]
        erasures.move(conn, keys, ErasureState.HELD, WAITS)


def resume(conn: Connection) -> None:
    """Makes PENDING what no hold applies to any more."""
    for those in _pages(conn, {ErasureState.HELD}):
        held = _touched(conn, those)
        keys = [each.key for each in those if each.request_id not in held]
        erasures.move(conn, keys, ErasureState.PENDING, "")


def _pages(conn: Connection, states: Collection[ErasureState]) -> Iterator[list[Erasure]]:
    after = 0
    while found := erasures.page(conn, states, after, BATCH):
        after = found[-1].key
        yield found


def _touched(conn: Connection, those: Sequence[Erasure]) -> set[str]:
    """The request ids of those that a hold applies to."""
    waiting = [(each, each.waiting) for each in those if each.waiting]
    subjects = set(conn.scalars(_SUBJECTS)) if waiting else set()
    if not subjects:
        return set()
    kinds = {each.selection.kind for each, _ in waiting}
    places = _places(conn, [each for each, _ in waiting])
    emptied = set(conn.scalars(_MODELS)) if SelectionKind.ALL_USER_DATA in kinds else set()

    def applies(erasure: Erasure, model_ids: Collection[str]) -> bool:
        hashes = erasure.selection.hashes
        match erasure.selection.kind:
            case SelectionKind.SUBJECTS:
                return not subjects.isdisjoint(hashes)
            case SelectionKind.SAMPLES:
                return any((model_id, name) in places for model_id in model_ids for name in hashes)
            case SelectionKind.ALL_USER_DATA:
                return not emptied.isdisjoint(model_ids)

    return {each.request_id for each, model_ids in waiting if applies(each, model_ids)}


def _places(conn: Connection, those: Sequence[Erasure]) -> set[tuple[str, bytes]]:
    """Where samples that erasures name are about a subject on hold: model id and sample."""
    named = chain.from_iterable(
        each.selection.hashes for each in those if each.selection.kind is SelectionKind.SAMPLES
    )
    return {
        (row.model_id, row.sample_hash)
        for batch in batches(tuple(dict.fromkeys(named)))
        for row in conn.execute(_SAMPLES, {"hashes": batch})
    }
