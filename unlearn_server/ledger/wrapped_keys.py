"""The wrapped keys of samples and of releases, to be wrapped by another master key."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, Connection, Table

from unlearn_server.ledger.schema import models, release_keys, releases, sample_keys, samples


class Holder(Enum):
    """Whose keys: the table of these, and what tells one owner from the others of its model."""

    SAMPLES = sample_keys, samples, samples.c.sample_hash
    RELEASES = release_keys, releases, releases.c.weights_commitment

    def __init__(self, keys: Table, owners: Table, own: Column[bytes]) -> None:
        """Prepares the statements."""
        [self._key] = keys.primary_key.columns
        self._keys = keys
        self._others = keys.c.master_id != sa.bindparam("in_force")
        self.count = sa.select(sa.func.count()).select_from(keys).where(self._others)
        self.page = (
            sa.select(self._key, models.c.model_id, own, keys.c.wrapped_key, keys.c.master_id)
            .join_from(keys, owners)
            .join(models)
            .where(self._others, self._key > sa.bindparam("after"))
            .order_by(self._key)
            .limit(sa.bindparam("most"))
        )
        self.change = (
            sa.update(keys)
            .where(self._key == sa.bindparam("of"), self._others)
            .values(wrapped_key=sa.bindparam("wrapped"), master_id=sa.bindparam("in_force"))
        )


@dataclass(frozen=True)
class WrappedKey:
    """A key as a master key wrapped it; ``own`` tells its owner from the others of the model."""

    owner_key: int
    model_id: str
    own: bytes
    wrapped_key: bytes
    master_id: bytes


def count(conn: Connection, holder: Holder, in_force: bytes) -> int:
    """How many keys another master key wraps than the one in force."""
    return conn.scalar(holder.count, {"in_force": in_force}) or 0


def page(
    conn: Connection, holder: Holder, in_force: bytes, after: int, most: int
) -> list[WrappedKey]:
    """The next of these, in the order of their owners; the first ones after 0."""
    asked = {"in_force": in_force, "after": after, "most": most}
    return [WrappedKey(*row) for row in conn.execute(holder.page, asked)]


def change(
    conn: Connection, holder: Holder, in_force: bytes, wrapped: Sequence[tuple[int, bytes]]
) -> None:
    """Replaces keys, each told by its owner's; of an owner that is gone there is none."""
    rows: list[dict[str, Any]] = [
        {"of": owner, "wrapped": key, "in_force": in_force} for owner, key in wrapped
    ]
    conn.execute(holder.change, rows)
