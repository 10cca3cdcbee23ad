"""Outcomes: what an erasure did to each of its models, exactly once.

The pair of erasure and model is unique in the database: whatever retries or races, a
second outcome cannot be written, and the transaction that tries leaves nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from unlearn_server.domain import ErasureState, Outcome
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger.batches import batches
from unlearn_server.ledger.columns import Instant
from unlearn_server.ledger.schema import (
    erasure_models,
    erasures,
    log_leaves,
    models,
    outcomes,
)


@dataclass(frozen=True)
class Certified:
    """What a leaf of the log is of; a refusal is of no model, a change of the key of no erasure."""

    index: int
    request_id: str | None
    model_id: str | None


RUNNABLE_STATES = frozenset({ErasureState.PENDING, ErasureState.RUNNING})
"""States in which an erasure may get an outcome."""

COLUMNS = tuple(column.label(f"outcome_{column.name}") for column in outcomes.c)
"""What ``of`` reads, under names that no other table's columns have."""


def exists_for(pairs: sa.Table) -> ColumnElement[bool]:
    """A condition: the pair of erasure and model in a query's row has its outcome."""
    return sa.exists().where(
        outcomes.c.erasure_key == pairs.c.erasure_key, outcomes.c.model_key == pairs.c.model_key
    )


_THESE = erasures.c.key.in_(sa.bindparam("keys", expanding=True))
_RUN = (
    sa.update(erasures)
    .where(_THESE, erasures.c.state.in_(RUNNABLE_STATES))
    .values(state=ErasureState.RUNNING, state_reason="")
)
_INSERT = sa.insert(outcomes).values(
    model_key=sa.select(models.c.key)
    .where(models.c.model_id == sa.bindparam("model_id"))
    .scalar_subquery()
)
_MISSING = sa.exists().where(
    erasure_models.c.erasure_key == erasures.c.key, ~exists_for(erasure_models)
)
_refused = erasures.alias("refused")
_CERTIFIED = (
    sa.select(
        log_leaves.c.leaf_index,
        sa.func.coalesce(erasures.c.request_id, _refused.c.request_id),
        models.c.model_id,
    )
    .select_from(
        log_leaves.outerjoin(outcomes, outcomes.c.leaf_index == log_leaves.c.leaf_index)
        .outerjoin(erasures, erasures.c.key == outcomes.c.erasure_key)
        .outerjoin(models, models.c.key == outcomes.c.model_key)
        .outerjoin(_refused, _refused.c.refusal_leaf == log_leaves.c.leaf_index)
    )
    .order_by(log_leaves.c.leaf_index)
)
# From the outcomes: what is of a certain erasure is found without reading the log.
_CERTIFIED_OUTCOMES = sa.select(
    outcomes.c.leaf_index, erasures.c.request_id, models.c.model_id
).select_from(
    outcomes.join(erasures, erasures.c.key == outcomes.c.erasure_key).join(
        models, models.c.key == outcomes.c.model_key
    )
)
_CERTIFIED_REFUSALS = sa.select(
    _refused.c.refusal_leaf.label("leaf_index"), _refused.c.request_id, sa.null().label("model_id")
)
_COMPLETE = (
    sa.update(erasures)
    .where(_THESE, ~_MISSING)
    .values(
        state=ErasureState.SUCCEEDED,
        complete_time=sa.bindparam("now", type_=Instant),
        commitment_salt=None,
    )
)


def add_all(conn: Connection, done: Mapping[int, Outcome], complete_time: datetime) -> None:
    """Records an outcome of each erasure, by its key, in as few statements as for one.

    The erasures are RUNNING then, or SUCCEEDED where no model's outcome is missing.

    Raises:
        ServiceError: ERASURE_STATE if one is not PENDING or RUNNING any more.
        sqlalchemy.exc.IntegrityError: if a model has an outcome, or is not the erasure's.
    """
    for keys in batches(tuple(done)):
        # First of all they are moved, which holds off cancellations and other models' outcomes.
        if conn.execute(_RUN, {"keys": keys}).rowcount != len(keys):
            message = "an erasure is no longer pending or running; read its state again"
            raise ServiceError(Reason.ERASURE_STATE, message)
        conn.execute(_INSERT, [{"erasure_key": key, **_values(done[key])} for key in keys])
        conn.execute(_COMPLETE, {"keys": keys, "now": complete_time})


def certified(
    conn: Connection,
    after: int,
    limit: int,
    request_id: str | None = None,
    model_id: str | None = None,
) -> list[Certified]:
    """The next leaves of the log after an index, of an erasure or a model if one is named."""
    if request_id is None and model_id is None:
        query = _CERTIFIED.where(log_leaves.c.leaf_index > after)
        return [Certified(*row) for row in conn.execute(query.limit(limit))]
    found = _CERTIFIED_OUTCOMES.where(outcomes.c.leaf_index > after)
    if request_id is not None:
        found = found.where(erasures.c.request_id == request_id)
    if model_id is not None:
        found = found.where(models.c.model_id == model_id)
        refused = _CERTIFIED_REFUSALS.where(sa.false())  # they are of no model
    else:
        refused = _CERTIFIED_REFUSALS.where(
            _refused.c.refusal_leaf > after, _refused.c.request_id == request_id
        )
    both = found.union_all(refused).order_by("leaf_index").limit(limit)
    return [Certified(*row) for row in conn.execute(both)]


def of(rows: Iterable[sa.Row[Any]]) -> tuple[Outcome, ...]:
    """The outcomes in rows with ``COLUMNS`` and their ``model_id``, in order of completion."""
    done = [row for row in rows if row.outcome_key is not None]
    return tuple(map(_outcome, sorted(done, key=lambda row: row.outcome_key)))


def _values(outcome: Outcome) -> dict[str, Any]:
    values = dict(vars(outcome))
    return {**values, "leaf_index": values.pop("certificate")}


def _outcome(row: sa.Row[Any]) -> Outcome:
    return Outcome(
        model_id=row.model_id,
        method=row.outcome_method,
        erased_samples=row.outcome_erased_samples,
        release_before=row.outcome_release_before,
        release_after=row.outcome_release_after,
        solve=row.outcome_solve,
        bound=row.outcome_bound,
        certificate=row.outcome_leaf_index,
    )
