"""Erasures: deletion requests, and the one way each of them goes.

- A request is PENDING once it is accepted. From PENDING, RUNNING or NEEDS_OPERATOR it
  becomes HELD when a hold applies to it, and is PENDING again when none does any more.
- The first outcome of several makes it RUNNING; the last one makes it SUCCEEDED.
- From PENDING or RUNNING it becomes NEEDS_OPERATOR if it cannot go on by itself. It
  stays due and counted; a retry makes it PENDING.
- Outcomes that it has are kept whatever comes.
- From PENDING, HELD or NEEDS_OPERATOR it can be CANCELLED or REFUSED.
- SUCCEEDED, CANCELLED and REFUSED are final.

Every move names the states it may start from in the statement that makes it, so of
two moves that race one does nothing. Of its selection only keyed hashes are ever kept.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from unlearn_server.domain import (
    FINAL_STATES,
    Erasure,
    ErasureState,
    Extension,
    Refusal,
    Selection,
    SelectionKind,
)
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger import outcomes
from unlearn_server.ledger.batches import batches
from unlearn_server.ledger.models import IS_TANGENT
from unlearn_server.ledger.schema import erasure_models, erasures, models
from unlearn_server.ledger.schema import outcomes as outcome_table

OPEN_STATES = frozenset(ErasureState) - FINAL_STATES
"""States in which an erasure is still due."""

RUNNABLE_STATES = outcomes.RUNNABLE_STATES
"""States in which the eraser takes an erasure up."""

WITHDRAWABLE_STATES = frozenset(
    {ErasureState.PENDING, ErasureState.HELD, ErasureState.NEEDS_OPERATOR}
)
"""States in which an erasure can be cancelled or refused."""

HASH_BYTES = 32

_WHOLE = (
    sa.select(erasures, models.c.model_id, *outcomes.COLUMNS)
    .select_from(
        erasures.outerjoin(erasure_models)
        .outerjoin(models, models.c.key == erasure_models.c.model_key)
        .outerjoin(outcome_table)
    )
    .order_by(erasures.c.key, erasure_models.c.position)
)
_BY_REQUEST_ID = _WHOLE.where(
    erasures.c.request_id.in_(sa.bindparam("request_ids", expanding=True))
)
_OPEN = (
    sa.select(models.c.model_id)
    .select_from(erasures.join(erasure_models).join(models))
    .where(erasures.c.state.in_(RUNNABLE_STATES), ~outcomes.exists_for(erasure_models))
)
_MODELS_WITH_OPEN = (
    _OPEN.where(sa.bindparam("tangent") == IS_TANGENT).distinct().order_by(models.c.model_id)
)
_OPEN_FOR_MODEL = _WHOLE.where(
    erasures.c.key.in_(
        _OPEN.with_only_columns(erasures.c.key)
        .where(models.c.model_id == sa.bindparam("model_id"))
        .correlate(None)
    )
)
_TELL = (
    sa.update(erasures)
    .where(
        erasures.c.key.in_(sa.bindparam("keys", expanding=True)),
        erasures.c.state.in_(RUNNABLE_STATES),
    )
    .values(state_reason=sa.bindparam("reason"))
)
_EXTENDED = sa.select(
    erasures.c.key,
    erasures.c.due_time,
    erasures.c.extend_time,
    erasures.c.extension_reason,
    erasures.c.first_due_time,
).where(
    erasures.c.key.in_(sa.bindparam("keys", expanding=True)), erasures.c.extend_time.is_not(None)
)
_INSERT = sa.insert(erasures).returning(erasures.c.request_id, erasures.c.key)
_INSERT_PAIR = sa.insert(erasure_models).values(
    model_key=sa.select(models.c.key)
    .where(models.c.model_id == sa.bindparam("model_id"), models.c.delete_time.is_(None))
    .scalar_subquery()
)


def insert(conn: Connection, new: Sequence[Erasure]) -> dict[str, Erasure]:
    """Accepts erasures; answers them by request id, under the keys that they get.

    Look for earlier ones of their request ids first (``find``).

    Raises:
        sqlalchemy.exc.IntegrityError: if a request id is taken, or a model does not exist.
    """
    if not new:
        return {}
    added = conn.execute(
        _INSERT,
        [
            {
                "request_id": erasure.request_id,
                "fingerprint": erasure.fingerprint,
                "selection_kind": erasure.selection.kind,
                "selection_hashes": b"".join(erasure.selection.hashes),
                "subject_root": erasure.subject_root,
                "commitment_salt": erasure.commitment_salt,
                "method": erasure.method,
                "regulation": erasure.regulation,
                "state": erasure.state,
                "state_reason": erasure.state_reason,
                "receive_time": erasure.receive_time,
                "due_time": erasure.due_time,
                "complete_time": erasure.complete_time,
            }
            for erasure in new
        ],
    )
    key_of = {row.request_id: row.key for row in added}
    _insert_pairs(conn, key_of, new)
    return {each.request_id: replace(each, key=key_of[each.request_id]) for each in new}


def find(conn: Connection, request_ids: Sequence[str]) -> dict[str, Erasure]:
    """Those of these erasures that were ever accepted, by request id."""
    return {
        erasure.request_id: erasure
        for batch in batches(request_ids)
        for erasure in _load(conn.execute(_BY_REQUEST_ID, {"request_ids": batch}))
    }


def get(conn: Connection, request_id: str) -> Erasure:
    """Finds an erasure by its request id.

    Raises:
        ServiceError: ERASURE_NOT_FOUND if there is none.
    """
    erasure = find(conn, [request_id]).get(request_id)
    if erasure is None:
        message = "name: there is no such erasure; use the name that CreateErasure answered"
        raise ServiceError(Reason.ERASURE_NOT_FOUND, message)
    return erasure


def page(
    conn: Connection, states: Collection[ErasureState], after_key: int, limit: int
) -> list[Erasure]:
    """The next erasures in order of acceptance, of these states or, if none, of any."""
    keys = sa.select(erasures.c.key).where(erasures.c.key > after_key)
    if states:
        keys = keys.where(erasures.c.state.in_(states))
    keys = keys.order_by(erasures.c.key).limit(limit).correlate(None)
    return _load(conn.execute(_WHOLE.where(erasures.c.key.in_(keys))))


def open_for_model(conn: Connection, model_id: str) -> list[Erasure]:
    """The erasures that the eraser has yet to carry out in a model, oldest first."""
    return _load(conn.execute(_OPEN_FOR_MODEL, {"model_id": model_id}))


def models_with_open(conn: Connection, *, tangent: bool) -> list[str]:
    """The ids of the TANGENT models, or the others, with an erasure to carry out."""
    return list(conn.scalars(_MODELS_WITH_OPEN, {"tangent": tangent}))


def has_open(conn: Connection, model_key: int) -> bool:
    """Whether an erasure of a model is still due, held or stuck ones included."""
    query = (
        sa.select(erasures.c.key)
        .join(erasure_models)
        .where(erasures.c.state.in_(OPEN_STATES), erasure_models.c.model_key == model_key)
        .limit(1)
    )
    return conn.scalar(query) is not None


def transition(
    conn: Connection,
    request_id: str,
    allowed_from: Collection[ErasureState],
    to: ErasureState,
    *,
    reason: str = "",
    complete_time: datetime | None = None,
) -> bool:
    """Moves an erasure, if it is in one of these states; returns whether it was."""
    moved = conn.execute(
        sa.update(erasures)
        .where(erasures.c.request_id == request_id, erasures.c.state.in_(allowed_from))
        .values(state=to, state_reason=reason, complete_time=complete_time, **_secrets_left(to))
    )
    return moved.rowcount == 1


def wrong_state(erasure: Erasure, allowed: Collection[ErasureState]) -> ServiceError:
    """What is said where an erasure is in none of the states that a move may start from."""
    states = ", ".join(sorted(allowed))
    message = f"name: the erasure is {erasure.state}; this takes one that is {states}"
    return ServiceError(Reason.ERASURE_STATE, message, field="name")


def move(conn: Connection, keys: Sequence[int], to: ErasureState, reason: str) -> None:
    """Moves open erasures, by their keys, to another state that is not final."""
    for batch in batches(keys):
        conn.execute(
            sa.update(erasures)
            .where(erasures.c.key.in_(batch), erasures.c.state.in_(OPEN_STATES))
            .values(state=to, state_reason=reason)
        )


def refuse(
    conn: Connection, key: int, refusal: Refusal, reason: str, complete_time: datetime
) -> None:
    """Ends an erasure that can be refused."""
    conn.execute(
        sa.update(erasures)
        .where(erasures.c.key == key, erasures.c.state.in_(WITHDRAWABLE_STATES))
        .values(
            state=ErasureState.REFUSED,
            state_reason=reason,
            complete_time=complete_time,
            refusal_ground=refusal.ground,
            refusal_leaf=refusal.certificate,
            **_secrets_left(ErasureState.REFUSED),
        )
    )


def extend(conn: Connection, key: int, due_time: datetime, extension: Extension) -> None:
    """Gives an open erasure, which was not extended before, another due time."""
    conn.execute(
        sa.update(erasures)
        .where(
            erasures.c.key == key,
            erasures.c.state.in_(OPEN_STATES),
            erasures.c.extend_time.is_(None),
        )
        .values(
            due_time=due_time,
            extend_time=extension.extend_time,
            extension_reason=extension.reason,
            first_due_time=extension.first_due_time,
        )
    )


def with_deadlines(conn: Connection, those: Sequence[Erasure]) -> list[Erasure]:
    """The same erasures, due as they are now: an extension may have come since they were read."""
    extended = {
        row.key: row
        for batch in batches([each.key for each in those])
        for row in conn.execute(_EXTENDED, {"keys": batch})
    }
    return [
        replace(each, due_time=row.due_time, extension=_extension(row))
        if (row := extended.get(each.key))
        else each
        for each in those
    ]


def _secrets_left(state: ErasureState) -> dict[str, None]:
    """A salt is kept for certificates that are to come, and none comes after a final state."""
    return {"commitment_salt": None} if state in FINAL_STATES else {}


def tell(conn: Connection, keys: Sequence[int], reason: str) -> bool:
    """Notes how far erasures are; returns whether all of them are still to be carried out."""
    told = (
        conn.execute(_TELL, {"keys": batch, "reason": reason}).rowcount for batch in batches(keys)
    )
    return sum(told) == len(keys)


def count_by_state(conn: Connection) -> dict[ErasureState, int]:
    """How many erasures are in each state; states without one are missing."""
    query = sa.select(erasures.c.state, sa.func.count()).group_by(erasures.c.state)
    return dict(conn.execute(query).all())


def earliest_due(conn: Connection) -> datetime | None:
    """When the first of the open erasures is due; None if none is open."""
    query = sa.select(sa.func.min(erasures.c.due_time)).where(erasures.c.state.in_(OPEN_STATES))
    due_time: datetime | None = conn.scalar(query)
    return due_time


def count_overdue(conn: Connection, now: datetime) -> int:
    """How many of the open erasures were due before."""
    return _count(conn, erasures.c.state.in_(OPEN_STATES) & (erasures.c.due_time < now))


def count_late(conn: Connection) -> int:
    """How many erasures ended after they were due."""
    return _count(conn, erasures.c.complete_time > erasures.c.due_time)


def _count(conn: Connection, condition: sa.ColumnElement[bool]) -> int:
    return conn.execute(
        sa.select(sa.func.count()).select_from(erasures).where(condition)
    ).scalar_one()


def _insert_pairs(conn: Connection, key_of: Mapping[str, int], new: Sequence[Erasure]) -> None:
    pairs = [
        {"erasure_key": key_of[each.request_id], "model_id": model_id, "position": position}
        for each in new
        for position, model_id in enumerate(each.models)
    ]
    if pairs:
        conn.execute(_INSERT_PAIR, pairs)


def _load(rows: Iterable[sa.Row[Any]]) -> list[Erasure]:
    """The erasures in rows of ``_WHOLE``."""
    rows_of: defaultdict[int, list[sa.Row[Any]]] = defaultdict(list)
    for row in rows:
        rows_of[row.key].append(row)
    return [_erasure(rows) for rows in rows_of.values()]


def _erasure(rows: Sequence[sa.Row[Any]]) -> Erasure:
    """An erasure, from one row for each of its models, or one without a model."""
    row = rows[0]
    return Erasure(
        key=row.key,
        request_id=row.request_id,
        fingerprint=row.fingerprint,
        selection=_selection(row.selection_kind, row.selection_hashes),
        subject_root=row.subject_root,
        commitment_salt=row.commitment_salt,
        models=tuple(each.model_id for each in rows if each.model_id is not None),
        method=row.method,
        regulation=row.regulation,
        state=row.state,
        state_reason=row.state_reason,
        outcomes=outcomes.of(rows),
        receive_time=row.receive_time,
        due_time=row.due_time,
        complete_time=row.complete_time,
        extension=_extension(row),
        refusal=_refusal(row),
    )


def _extension(row: Any) -> Extension | None:
    if row.extend_time is None:
        return None
    return Extension(row.extend_time, row.extension_reason, row.first_due_time)


def _refusal(row: sa.Row[Any]) -> Refusal | None:
    return None if row.refusal_ground is None else Refusal(row.refusal_ground, row.refusal_leaf)


def _selection(kind: SelectionKind, hashes: bytes) -> Selection:
    starts = range(0, len(hashes), HASH_BYTES)
    return Selection(kind, tuple(hashes[start : start + HASH_BYTES] for start in starts))
