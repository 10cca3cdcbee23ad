"""What versions before 0.2 left under the empty id: see the migration that made ``key_ids``."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from unlearn_server.domain import Sealed
from unlearn_server.ledger.schema import erasures, models, release_keys, releases, sample_keys

_OLD = b""
_CLEAR = (
    sa.select(
        releases.c.key,
        models.c.model_id,
        releases.c.weights_commitment.label("commitment"),
        releases.c.payload,
    )
    .join_from(release_keys, releases)
    .join(models)
    .where(release_keys.c.master_id == _OLD)
)


def adopt_samples(conn: Connection, master_id: bytes) -> None:
    """Says which master key wraps the keys of samples."""
    old = sample_keys.c.master_id == _OLD
    conn.execute(sa.update(sample_keys).where(old).values(master_id=master_id))


def clear_releases(conn: Connection) -> list[Row[Any]]:
    """Releases that are not sealed: key, model_id, commitment to the weights, payload."""
    return [*conn.execute(_CLEAR)]


def conceal_salts(conn: Connection, conceal: Callable[[bytes], bytes]) -> None:
    """Stores the salts of open erasures, which were in clear, as they are concealed."""
    salted = sa.select(erasures.c.key, erasures.c.commitment_salt).where(
        erasures.c.commitment_salt.is_not(None)
    )
    for key, salt in conn.execute(salted).all():
        concealed = {"commitment_salt": conceal(salt)}
        conn.execute(sa.update(erasures).where(erasures.c.key == key).values(concealed))


def adopt_release(conn: Connection, release: Row[Any], sealed: Sealed) -> None:
    """Stores a release that was in clear as it was sealed."""
    own = releases.c.key == release.key
    conn.execute(sa.update(releases).where(own).values(payload=sealed.payload))
    conn.execute(
        sa.update(release_keys)
        .where(release_keys.c.release_key == release.key)
        .values(wrapped_key=sealed.wrapped_key, master_id=sealed.master_id)
    )
