"""What versions before 0.2 left under the empty id: see the migration that made ``key_ids``."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from unlearn_server.domain import Sealed
from unlearn_server.ledger.schema import models, release_keys, releases, sample_keys

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


def adopt_release(conn: Connection, release: Row[Any], sealed: Sealed) -> None:
    """Stores a release that was in clear as it was sealed."""
    own = releases.c.key == release.key
    conn.execute(sa.update(releases).where(own).values(payload=sealed.payload))
    conn.execute(
        sa.update(release_keys)
        .where(release_keys.c.release_key == release.key)
        .values(wrapped_key=sealed.wrapped_key, master_id=sealed.master_id)
    )
