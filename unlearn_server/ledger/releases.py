"""Releases: at most one of a model serves, and its successor destroys it.

- A release that takes long to solve for is SOLVING, at most one of a model; it is FAILED
  where no solution was found.
- Otherwise, or then, it is SERVING, until the next one makes it DESTROYED in the same
  transaction: the record remains; its weights and salt, which were sealed, their key, both
  commitments and how it was solved for are gone.
- An erasure's release takes the place of one that is being solved for: it is of all rows.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from unlearn_server.domain import Release, ReleaseState, Sealed
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger.columns import Instant
from unlearn_server.ledger.schema import models, release_keys, releases
from unlearning.rounding import SolveReport

_OF_MODEL = releases.c.model_key == sa.bindparam("of_model")
_SOLVING = _OF_MODEL & (releases.c.state == ReleaseState.SOLVING)
_SERVING = _OF_MODEL & (releases.c.state == ReleaseState.SERVING)
_DESTROY_KEY = sa.delete(release_keys).where(
    release_keys.c.release_key.in_(sa.select(releases.c.key).where(_SERVING))
)
_DESTROY_SERVING = (
    sa.update(releases)
    .where(_SERVING)
    .values(
        state=ReleaseState.DESTROYED,
        destroy_time=sa.bindparam("now", type_=Instant),
        solve=None,
        payload=None,
        weights_commitment=None,
        state_commitment=None,
    )
)
_LAST = (
    sa.select(releases.c.number, releases.c.state, releases.c.request_id)
    .where(_OF_MODEL)
    .order_by(releases.c.number.desc())
    .limit(1)
)
_TAKE_SOLVING = sa.delete(releases).where(_SOLVING)
_FAIL_SOLVING = sa.update(releases).where(_SOLVING).values(state=ReleaseState.FAILED)


def begin(conn: Connection, model_key: int, create_time: datetime, request_id: str) -> Release:
    """Notes that a release is to be solved for; none may be yet (see ``solving``).

    Raises:
        sqlalchemy.exc.IntegrityError: if one is, or the model has a release of that request id.
    """
    last = conn.execute(_LAST, {"of_model": model_key}).one_or_none()
    release = Release(
        number=last.number + 1 if last else 1,
        state=ReleaseState.SOLVING,
        sample_count=0,
        solve=None,
        create_time=create_time,
        destroy_time=None,
        sealed=None,
        weights_commitment=None,
        state_commitment=None,
    )
    _insert(conn, model_key, release, request_id)
    return release


def fail(conn: Connection, model_key: int) -> None:
    """Gives up the release that is being solved for, if there is one."""
    conn.execute(_FAIL_SOLVING, {"of_model": model_key})


def insert(
    conn: Connection,
    model_key: int,
    *,
    sample_count: int,
    solve: SolveReport,
    sealed: Sealed,
    weights_commitment: bytes,
    state_commitment: bytes,
    create_time: datetime,
    request_id: str | None = None,
) -> Release:
    """Destroys the release that serves and serves this one, under the next number.

    It is the one that was being solved for, if there was one. The model's version must have
    been raised before (``models.bump``). ``request_id`` is the caller's who asked for it; None
    if an erasure made it.

    Raises:
        sqlalchemy.exc.IntegrityError: if the model has a release of that request id.
    """
    conn.execute(_DESTROY_KEY, {"of_model": model_key})
    conn.execute(_DESTROY_SERVING, {"of_model": model_key, "now": create_time})
    last = conn.execute(_LAST, {"of_model": model_key}).one_or_none()
    number = last.number + 1 if last else 1
    if last and last.state is ReleaseState.SOLVING:
        conn.execute(_TAKE_SOLVING, {"of_model": model_key})
        number, request_id = last.number, request_id or last.request_id
    release = Release(
        number=number,
        state=ReleaseState.SERVING,
        sample_count=sample_count,
        solve=solve,
        create_time=create_time,
        destroy_time=None,
        sealed=sealed,
        weights_commitment=weights_commitment,
        state_commitment=state_commitment,
    )
    _insert(conn, model_key, release, request_id)
    return release


def supersede(conn: Connection, model_key: int, number: int, destroy_time: datetime) -> None:
    """Destroys the release that serves, as one up to this number did that is not there any more.

    No later one gets that number. What was being solved for is given up.
    """
    conn.execute(_FAIL_SOLVING, {"of_model": model_key})
    conn.execute(_DESTROY_KEY, {"of_model": model_key})
    conn.execute(_DESTROY_SERVING, {"of_model": model_key, "now": destroy_time})
    last = conn.execute(_LAST, {"of_model": model_key}).one_or_none()
    if last is None or last.number < number:
        conn.execute(
            sa.insert(releases),
            {
                "model_key": model_key,
                "number": number,
                "state": ReleaseState.DESTROYED,
                "sample_count": 0,
                "create_time": destroy_time,
                "destroy_time": destroy_time,
            },
        )


def _insert(conn: Connection, model_key: int, release: Release, request_id: str | None) -> None:
    row = {"model_key": model_key, "request_id": request_id, **vars(release)}
    sealed: Sealed | None = row.pop("sealed")
    if sealed is None:
        conn.execute(sa.insert(releases), row)
        return
    row["payload"] = sealed.payload
    key = conn.scalar(sa.insert(releases).returning(releases.c.key), row)
    wrapped = {"wrapped_key": sealed.wrapped_key, "master_id": sealed.master_id}
    conn.execute(sa.insert(release_keys), {"release_key": key, **wrapped})


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


def solving(conn: Connection, model_key: int) -> Release | None:
    """The release of a model that is being solved for."""
    return _find(conn, model_key, releases.c.state == ReleaseState.SOLVING)


def models_with_solving(conn: Connection) -> list[str]:
    """The ids of the models for which a release is to be solved."""
    query = sa.select(models.c.model_id).join(releases)
    return list(conn.scalars(query.where(releases.c.state == ReleaseState.SOLVING)))


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
    query = (
        sa.select(releases, release_keys.c.wrapped_key, release_keys.c.master_id)
        .outerjoin(release_keys)
        .where(releases.c.model_key == model_key, condition)
    )
    row = conn.execute(query).one_or_none()
    return None if row is None else _release(row)


def _release(row: sa.Row[Any]) -> Release:
    is_sealed = row.wrapped_key is not None
    return Release(
        number=row.number,
        state=row.state,
        sample_count=row.sample_count,
        solve=row.solve,
        create_time=row.create_time,
        destroy_time=row.destroy_time,
        sealed=Sealed(row.payload, row.wrapped_key, row.master_id) if is_sealed else None,
        weights_commitment=row.weights_commitment,
        state_commitment=row.state_commitment,
    )
