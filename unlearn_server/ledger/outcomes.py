"""Outcomes: what an erasure did to each of its models, exactly once.

The pair of erasure and model is unique in the database: whatever retries or races, a
second outcome cannot be written, and the transaction that tries leaves nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from unlearn_server.domain import ErasureState, Outcome
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger.batches import batches
from unlearn_server.ledger.schema import erasure_models, erasures, models, outcomes

RUNNABLE_STATES = frozenset({ErasureState.PENDING, ErasureState.RUNNING})
"""States in which an erasure may get an outcome."""


def add(conn: Connection, erasure_key: int, outcome: Outcome, complete_time: datetime) -> None:
    """Records an outcome; the erasure is RUNNING then, or SUCCEEDED if it was the last.

    Raises:
        ServiceError: ERASURE_STATE if the erasure is not PENDING or RUNNING any more.
        sqlalchemy.exc.IntegrityError: if the model has an outcome, or is not the erasure's.
    """
    _advance(conn, erasure_key, ErasureState.RUNNING, None)
    model_key = sa.select(models.c.key).where(models.c.model_id == outcome.model_id)
    conn.execute(
        sa.insert(outcomes).values(
            erasure_key=erasure_key,
            model_key=model_key.scalar_subquery(),
            method=outcome.method,
            erased_samples=outcome.erased_samples,
            release_before=outcome.release_before,
            release_after=outcome.release_after,
            solve=outcome.solve,
            bound=outcome.bound,
        )
    )
    if not _is_missing_one(conn, erasure_key):
        _advance(conn, erasure_key, ErasureState.SUCCEEDED, complete_time)


def of(conn: Connection, erasure_keys: Sequence[int]) -> defaultdict[int, list[Outcome]]:
    """The outcomes of each of these erasures, in order of completion."""
    query = sa.select(outcomes, models.c.model_id).join(
        models, models.c.key == outcomes.c.model_key
    )
    found: defaultdict[int, list[Outcome]] = defaultdict(list)
    for batch in batches(erasure_keys):
        chosen = query.where(outcomes.c.erasure_key.in_(batch)).order_by(outcomes.c.key)
        for row in conn.execute(chosen):
            found[row.erasure_key].append(_outcome(row))
    return found


def exists_for(pairs: sa.Table) -> ColumnElement[bool]:
    """A condition: the pair of erasure and model in a query's row has its outcome."""
    return sa.exists().where(
        outcomes.c.erasure_key == pairs.c.erasure_key, outcomes.c.model_key == pairs.c.model_key
    )


def _advance(
    conn: Connection, erasure_key: int, to: ErasureState, complete_time: datetime | None
) -> None:
    moved = conn.execute(
        sa.update(erasures)
        .where(erasures.c.key == erasure_key, erasures.c.state.in_(RUNNABLE_STATES))
        .values(state=to, state_reason="", complete_time=complete_time)
    )
    if moved.rowcount != 1:
        message = "the erasure is no longer pending or running; read its state again"
        raise ServiceError(Reason.ERASURE_STATE, message)


def _is_missing_one(conn: Connection, erasure_key: int) -> bool:
    query = sa.select(erasure_models.c.model_key).where(
        erasure_models.c.erasure_key == erasure_key, ~exists_for(erasure_models)
    )
    return conn.scalar(query.limit(1)) is not None


def _outcome(row: sa.Row[Any]) -> Outcome:
    return Outcome(
        model_id=row.model_id,
        method=row.method,
        erased_samples=row.erased_samples,
        release_before=row.release_before,
        release_after=row.release_after,
        solve=row.solve,
        bound=row.bound,
    )
