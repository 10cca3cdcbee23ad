"""Releases: at most one of a model serves, and its successor destroys it.

SERVING -> DESTROYED, in the transaction that inserts the next release. Of a destroyed
release the record remains; its weights, its salt and both commitments are gone.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from unlearn_server.domain import Release, ReleaseState
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger.columns import Instant
from unlearn_server.ledger.schema import models, releases
from unlearning.rounding import SolveReport

_DESTROY_SERVING = (
    sa.update(releases)
    .where(
        releases.c.model_key == sa.bindparam("of_model"),
        releases.c.state == ReleaseState.SERVING,
    )
    .values(
        state=ReleaseState.DESTROYED,
        destroy_time=sa.bindparam("now", type_=Instant),
        weights=None,
        salt=None,
        weights_commitment=None,
        state_commitment=None,
    )
    .returning(releases.c.number)
)


def insert(
    conn: Connection,
    model_key: int,
    *,
    sample_count: int,
    solve: SolveReport,
    weights: bytes,
    salt: bytes,
    weights_commitment: bytes,
    state_commitment: bytes,
    create_time: datetime,
    request_id: str | None = None,
) -> Release:
    """Destroys the release that serves and serves this one under the next number.

    The model's version must have been raised before (``models.bump``). ``request_id`` is
    the caller's who asked for it; None if an erasure made it.

    Raises:
        sqlalchemy.exc.IntegrityError: if the model has a release of that request id.
    """
    destroyed = conn.scalars(_DESTROY_SERVING, {"of_model": model_key, "now": create_time})
    release = Release(
        number=1 + (destroyed.one_or_none() or 0),  # what served was the last there was
        state=ReleaseState.SERVING,
        sample_count=sample_count,
        solve=solve,
        create_time=create_time,
        destroy_time=None,
        weights=weights,
        salt=salt,
        weights_commitment=weights_commitment,
        state_commitment=state_commitment,
    )
    row = {"model_key": model_key, "request_id": request_id, **vars(release)}
    conn.execute(sa.insert(releases), row)
    return release


def get(conn: Connection, model_key: int, number: int) -> Release:
    """Finds a release by its number.

    Raises:
        ServiceError: RELEASE_NOT_FOUND if the model never had one of that number.
    """
    release = _find(conn, model_key, releases.c.number == number)
    if release is None:
        message = "name: the model has no such release; use releases/- for the one it serves"
        raise ServiceError(Reason.RELEASE_NOT_FOUND, message)
    return release


def serving(conn: Connection, model_key: int) -> Release | None:
    """The release that a model serves; None while its core alone answers."""
    return _find(conn, model_key, releases.c.state == ReleaseState.SERVING)


def by_request(conn: Connection, model_key: int, request_id: str) -> Release | None:
    """The release that a request made, as it now stands; None if it made none."""
    return _find(conn, model_key, releases.c.request_id == request_id)


def count_by_model(conn: Connection) -> dict[str, int]:
    """How many releases each model has had."""
    query = (
        sa.select(models.c.model_id, sa.func.count(releases.c.key))
        .outerjoin(releases)
        .where(models.c.delete_time.is_(None))
        .group_by(models.c.model_id)
    )
    return dict(conn.execute(query).all())


def _find(conn: Connection, model_key: int, condition: ColumnElement[bool]) -> Release | None:
    query = sa.select(releases).where(releases.c.model_key == model_key, condition)
    row = conn.execute(query).one_or_none()
    return None if row is None else _release(row)


def _release(row: sa.Row[Any]) -> Release:
    return Release(
        number=row.number,
        state=row.state,
        sample_count=row.sample_count,
        solve=row.solve,
        create_time=row.create_time,
        destroy_time=row.destroy_time,
        weights=row.weights,
        salt=row.salt,
        weights_commitment=row.weights_commitment,
        state_commitment=row.state_commitment,
    )
