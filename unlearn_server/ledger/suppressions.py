"""Suppressions: who was erased from a model may not be added to it again, until that is lifted.

Each begins in the transaction of the erasure that named the subject. Whom one is about is kept as
a keyed hash when it is lifted too, as the erasure itself keeps it: so it can be told later why.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger.batches import batches
from unlearn_server.ledger.columns import Bytes, Instant, Key
from unlearn_server.ledger.schema import suppressions

_LASTS = suppressions.c.lift_time.is_(None)
_MINE = suppressions.c.model_key == sa.bindparam("of_model")
_HASHES: sa.BindParameter[Any] = sa.bindparam("hashes", expanding=True)
_ADD = sa.insert(suppressions).from_select(
    ["model_key", "subject_hash", "erase_time"],
    sa.select(
        sa.bindparam("of_model", type_=Key),
        sa.bindparam("subject", type_=Bytes),
        sa.bindparam("now", type_=Instant),
    ).where(
        ~sa.exists().where(_MINE, _LASTS, suppressions.c.subject_hash == sa.bindparam("subject"))
    ),
)
_LASTING = sa.select(suppressions.c.subject_hash).where(
    _MINE, _LASTS, suppressions.c.subject_hash.in_(_HASHES)
)


def add(
    conn: Connection, model_key: int, subjects: Collection[bytes], erase_time: datetime
) -> None:
    """Bars subjects from a model; those that are barred already stay so."""
    asked = {"of_model": model_key, "now": erase_time}
    for batch in batches(sorted(subjects)):
        conn.execute(_ADD, [{**asked, "subject": subject} for subject in batch])


def lasting(conn: Connection, model_key: int, subjects: Collection[bytes]) -> set[bytes]:
    """Those of these subjects that are barred from a model."""
    return {
        subject
        for batch in batches(tuple(subjects))
        for subject in conn.scalars(_LASTING, {"of_model": model_key, "hashes": batch})
    }


def lift(
    conn: Connection, model_key: int, subject: bytes, reason: str, lift_time: datetime
) -> None:
    """Lets a subject be added again, if that was not done before.

    Raises:
        ServiceError: SUPPRESSION_NOT_FOUND if the model never barred it.
    """
    ours = (suppressions.c.model_key == model_key) & (suppressions.c.subject_hash == subject)
    lifted = {"lift_time": lift_time, "lift_reason": reason}
    conn.execute(sa.update(suppressions).where(ours, _LASTS).values(lifted))
    if conn.scalar(sa.select(suppressions.c.key).where(ours).limit(1)) is None:
        message = "subject_id: was never erased from this model by name; there is nothing to lift"
        raise ServiceError(Reason.SUPPRESSION_NOT_FOUND, message, field="subject_id")
