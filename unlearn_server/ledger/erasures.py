"""Erasures: deletion requests, and the one way each of them goes.

- A request is PENDING once it is accepted. It waits as HELD while a hold applies, and
  is PENDING again when the hold is lifted.
- The first outcome of several makes it RUNNING; the last one makes it SUCCEEDED.
- From PENDING or RUNNING it becomes NEEDS_OPERATOR if it cannot go on by itself. It
  stays due and counted; a retry makes it PENDING, and outcomes it has are kept.
- From PENDING, HELD or NEEDS_OPERATOR it can be CANCELLED or REFUSED.
- SUCCEEDED, CANCELLED and REFUSED are final.

Every move names the states it may start from in the statement that makes it, so of
two moves that race one does nothing. Of its selection only keyed hashes are ever kept.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from unlearn_server.domain import (
    FINAL_STATES,
    Erasure,
    ErasureState,
    Method,
    Selection,
    SelectionKind,
)
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger import outcomes
from unlearn_server.ledger.batches import batches
from unlearn_server.ledger.schema import erasure_models, erasures, models

OPEN_STATES = frozenset(ErasureState) - FINAL_STATES
"""States in which an erasure is still due."""

RUNNABLE_STATES = outcomes.RUNNABLE_STATES
"""States in which the eraser takes an erasure up."""

WITHDRAWABLE_STATES = frozenset(
    {ErasureState.PENDING, ErasureState.HELD, ErasureState.NEEDS_OPERATOR}
)
"""States in which an erasure can be cancelled or refused."""

HASH_BYTES = 32

_WITH_MODELS = erasures.join(erasure_models).join(models)


def insert(
    conn: Connection,
    *,
    request_id: str,
    fingerprint: bytes,
    selection: Selection,
    model_ids: Sequence[str],
    method: Method,
    regulation: str,
    receive_time: datetime,
    due_time: datetime,
) -> Erasure:
    """Accepts a request as PENDING. Look for one of its request id first (``find``).

    Without models there will be no outcome, so it is for the caller to complete it.

    Raises:
        ServiceError: MODEL_NOT_FOUND if one of the models does not exist.
        sqlalchemy.exc.IntegrityError: if the request id is taken.
    """
    model_keys = _model_keys(conn, model_ids)
    statement = (
        sa.insert(erasures)
        .values(
            request_id=request_id,
            fingerprint=fingerprint,
            selection_kind=selection.kind,
            selection_hashes=b"".join(selection.hashes),
            method=method,
            regulation=regulation,
            state=ErasureState.PENDING,
            state_reason="",
            receive_time=receive_time,
            due_time=due_time,
        )
        .returning(erasures.c.key)
    )
    key = conn.scalars(statement).one()
    for position, model_key in enumerate(model_keys):
        pair = {"erasure_key": key, "model_key": model_key, "position": position}
        conn.execute(sa.insert(erasure_models).values(pair))
    return get(conn, request_id)


def find(conn: Connection, request_id: str) -> Erasure | None:
    """The erasure of a request id, if it was ever accepted."""
    found = _load(conn, sa.select(erasures).where(erasures.c.request_id == request_id))
    return found[0] if found else None


def get(conn: Connection, request_id: str) -> Erasure:
    """Finds an erasure by its request id.

    Raises:
        ServiceError: ERASURE_NOT_FOUND if there is none.
    """
    erasure = find(conn, request_id)
    if erasure is None:
        message = "name: there is no such erasure; use the name that CreateErasure answered"
        raise ServiceError(Reason.ERASURE_NOT_FOUND, message)
    return erasure


def page(
    conn: Connection, states: Collection[ErasureState], after_key: int, limit: int
) -> list[Erasure]:
    """The next erasures in order of acceptance, of these states or, if none, of any."""
    query = sa.select(erasures).where(erasures.c.key > after_key)
    if states:
        query = query.where(erasures.c.state.in_(states))
    return _load(conn, query.order_by(erasures.c.key).limit(limit))


def open_for_model(conn: Connection, model_id: str) -> list[Erasure]:
    """The erasures that the eraser has yet to carry out in a model, oldest first."""
    query = (
        sa.select(erasures)
        .select_from(_WITH_MODELS)
        .where(
            erasures.c.state.in_(RUNNABLE_STATES),
            models.c.model_id == model_id,
            ~outcomes.exists_for(erasure_models),
        )
        .order_by(erasures.c.key)
    )
    return _load(conn, query)


def models_with_open(conn: Connection) -> list[str]:
    """The ids of the models in which the eraser has an erasure to carry out."""
    query = (
        sa.select(models.c.model_id)
        .distinct()
        .select_from(_WITH_MODELS)
        .where(erasures.c.state.in_(RUNNABLE_STATES), ~outcomes.exists_for(erasure_models))
        .order_by(models.c.model_id)
    )
    return list(conn.scalars(query))


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
        .values(state=to, state_reason=reason, complete_time=complete_time)
    )
    return moved.rowcount == 1


def count_by_state(conn: Connection) -> dict[ErasureState, int]:
    """How many erasures are in each state; states without one are missing."""
    query = sa.select(erasures.c.state, sa.func.count()).group_by(erasures.c.state)
    return dict(conn.execute(query).all())


def earliest_due(conn: Connection) -> datetime | None:
    """When the first of the open erasures is due; None if none is open."""
    query = sa.select(sa.func.min(erasures.c.due_time)).where(erasures.c.state.in_(OPEN_STATES))
    due_time: datetime | None = conn.scalar(query)
    return due_time


def _model_keys(conn: Connection, model_ids: Sequence[str]) -> list[int]:
    query = sa.select(models.c.model_id, models.c.key).where(models.c.delete_time.is_(None))
    key_of: dict[str, int] = {}
    for batch in batches(model_ids):
        key_of.update(
            (row.model_id, row.key)
            for row in conn.execute(query.where(models.c.model_id.in_(batch)))
        )
    if not key_of.keys() >= set(model_ids):
        message = "models: one of them does not exist; ListModels names those that do"
        raise ServiceError(Reason.MODEL_NOT_FOUND, message, field="models")
    return [key_of[model_id] for model_id in model_ids]


def _load(conn: Connection, query: sa.Select[Any]) -> list[Erasure]:
    rows = conn.execute(query).all()
    keys = [row.key for row in rows]
    models_of = _models_of(conn, keys)
    outcomes_of = outcomes.of(conn, keys)
    return [
        Erasure(
            key=row.key,
            request_id=row.request_id,
            fingerprint=row.fingerprint,
            selection=_selection(row.selection_kind, row.selection_hashes),
            models=tuple(models_of[row.key]),
            method=row.method,
            regulation=row.regulation,
            state=row.state,
            state_reason=row.state_reason,
            outcomes=tuple(outcomes_of[row.key]),
            receive_time=row.receive_time,
            due_time=row.due_time,
            complete_time=row.complete_time,
        )
        for row in rows
    ]


def _models_of(conn: Connection, keys: Sequence[int]) -> defaultdict[int, list[str]]:
    query = sa.select(erasure_models.c.erasure_key, models.c.model_id).join(models)
    ids: defaultdict[int, list[str]] = defaultdict(list)
    for batch in batches(keys):
        chosen = query.where(erasure_models.c.erasure_key.in_(batch))
        for key, model_id in conn.execute(chosen.order_by(erasure_models.c.position)):
            ids[key].append(model_id)
    return ids


def _selection(kind: SelectionKind, hashes: bytes) -> Selection:
    starts = range(0, len(hashes), HASH_BYTES)
    return Selection(kind, tuple(hashes[start : start + HASH_BYTES] for start in starts))
