"""The ids of the secrets in use, and what each master key wraps (see ``keys``)."""

from collections import Counter
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from unlearn_server.domain import KeyKind
from unlearn_server.ledger.schema import (
    key_ids,
    models,
    release_keys,
    releases,
    sample_keys,
    samples,
)

_IDS = sa.select(key_ids.c.key_id).order_by(key_ids.c.key)
_KNOWN: sa.BindParameter[Any] = sa.bindparam("known", expanding=True)
_SAMPLES = (
    sa.select(models.c.model_id, sa.func.count())
    .join_from(sample_keys, samples)
    .join(models)
    .where(sample_keys.c.master_id.not_in(_KNOWN))
    .group_by(models.c.model_id)
)
_RELEASES = (
    sa.select(models.c.model_id, sa.func.count())
    .join_from(release_keys, releases)
    .join(models)
    .where(release_keys.c.master_id.not_in(_KNOWN))
    .group_by(models.c.model_id)
)


def masters(conn: Connection) -> list[bytes]:
    """The ids of the master keys, the one in force last; none before the first start."""
    return [*conn.scalars(_IDS.where(key_ids.c.kind == KeyKind.MASTER))]


def hashing(conn: Connection) -> bytes | None:
    """The id of the secret that ids are hashed with; None before the first start."""
    return conn.scalar(_IDS.where(key_ids.c.kind == KeyKind.HASHING))


def add(conn: Connection, kind: KeyKind, key_id: bytes) -> None:
    """Knows a secret from now on; a master key is then in force.

    Raises:
        sqlalchemy.exc.IntegrityError: if it is known.
    """
    conn.execute(sa.insert(key_ids).values(kind=kind, key_id=key_id))


def drop_others(conn: Connection, master_id: bytes) -> None:
    """Forgets all master keys but one.

    Raises:
        sqlalchemy.exc.IntegrityError: if another one wraps a key still.
    """
    others = (key_ids.c.kind == KeyKind.MASTER) & (key_ids.c.key_id != master_id)
    conn.execute(sa.delete(key_ids).where(others))


def unopened(conn: Connection, known: Collection[bytes]) -> dict[str, tuple[int, int]]:
    """By model, how many samples and releases are under none of these master keys."""
    asked = {"known": [*known]}
    held = Counter[str](dict(conn.execute(_SAMPLES, asked).all()))
    served = Counter[str](dict(conn.execute(_RELEASES, asked).all()))
    return {model_id: (held[model_id], served[model_id]) for model_id in sorted(held | served)}
