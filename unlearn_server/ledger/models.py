"""Models: their descriptions, counts and versions."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from unlearn_server.domain import Model, ReleaseState
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger.batches import batches
from unlearn_server.ledger.schema import models, release_keys, releases, sample_keys, samples
from unlearning.objective import Objective

_LIVING = (
    sa.select(models, releases.c.number.label("release"))
    .outerjoin(
        releases,
        (releases.c.model_key == models.c.key) & (releases.c.state == ReleaseState.SERVING),
    )
    .where(models.c.delete_time.is_(None))
)
"""Models that are not deleted, each with the number of the release it serves."""

_BY_ID = _LIVING.where(models.c.model_id == sa.bindparam("model_id"))
IS_TANGENT = models.c.objective["tangent_scope"].as_string().is_not(None)
"""A condition: the model's weights move the core's own, linearised."""

_EXISTING = sa.select(models.c.model_id, IS_TANGENT.label("is_tangent")).where(
    models.c.model_id.in_(sa.bindparam("model_ids", expanding=True)), models.c.delete_time.is_(None)
)
_OF_KEY = models.c.key == sa.bindparam("of_key")
_BUMP = (
    sa.update(models)
    .where(_OF_KEY)
    .values(version=models.c.version + 1)
    .returning(models.c.version)
)
_TALLY = (
    sa.update(models)
    .where(_OF_KEY)
    .values(
        user_count=models.c.user_count + sa.bindparam("users"),
        core_count=models.c.core_count + sa.bindparam("cores"),
        subject_count=models.c.subject_count + sa.bindparam("subjects"),
    )
)


def insert(
    conn: Connection,
    *,
    model_id: str,
    core: str,
    objective: Objective,
    minimum_cohort: int,
    create_time: datetime,
) -> Model:
    """Inserts an empty model.

    Raises:
        ServiceError: MODEL_EXISTS if the id is taken, or ever was.
    """
    if conn.scalar(sa.select(models.c.key).where(models.c.model_id == model_id)) is not None:
        message = "model_id: is taken, or was by a deleted model; choose another"
        raise ServiceError(Reason.MODEL_EXISTS, message)
    conn.execute(
        sa.insert(models).values(
            model_id=model_id,
            core=core,
            objective=objective.to_json(),
            minimum_cohort=minimum_cohort,
            user_count=0,
            core_count=0,
            subject_count=0,
            version=1,
            create_time=create_time,
        )
    )
    return get(conn, model_id)


def get(conn: Connection, model_id: str) -> Model:
    """Finds a model by its id.

    Raises:
        ServiceError: MODEL_NOT_FOUND if there is none, or no longer.
    """
    row = conn.execute(_BY_ID, {"model_id": model_id}).one_or_none()
    if row is None:
        raise not_found()
    return _model(row)


def existing(conn: Connection, model_ids: Collection[str]) -> dict[str, bool]:
    """Those of these models that there are, and whether each is TANGENT."""
    return {
        row.model_id: bool(row.is_tangent)
        for batch in batches(tuple(model_ids))
        for row in conn.execute(_EXISTING, {"model_ids": batch})
    }


def not_found() -> ServiceError:
    """What is said of a model that there is not."""
    message = "name: there is no such model; ListModels names those there are"
    return ServiceError(Reason.MODEL_NOT_FOUND, message)


def page(conn: Connection, after_key: int, limit: int) -> list[Model]:
    """The next models in order of creation; the first ones after key 0."""
    query = _LIVING.where(models.c.key > after_key).order_by(models.c.key).limit(limit)
    return [_model(row) for row in conn.execute(query)]


def delete(conn: Connection, key: int, delete_time: datetime) -> None:
    """Deletes a model with its samples, keys and releases; its id stays taken."""
    own_samples = sa.select(samples.c.key).where(samples.c.model_key == key)
    conn.execute(sa.delete(sample_keys).where(sample_keys.c.sample_key.in_(own_samples)))
    conn.execute(sa.delete(samples).where(samples.c.model_key == key))
    own_releases = sa.select(releases.c.key).where(releases.c.model_key == key)
    conn.execute(sa.delete(release_keys).where(release_keys.c.release_key.in_(own_releases)))
    conn.execute(sa.delete(releases).where(releases.c.model_key == key))
    conn.execute(
        sa.update(models)
        .where(models.c.key == key)
        .values(delete_time=delete_time, user_count=0, core_count=0, subject_count=0)
    )


def bump(conn: Connection, key: int) -> int:
    """Raises the version, and returns it; keeps other writers from the model until the commit.

    Whoever changes a model's samples or its release does this first.
    """
    version: int = conn.scalars(_BUMP, {"of_key": key}).one()
    return version


def tally(conn: Connection, key: int, *, user: int, core: int, subjects: int) -> None:
    """Adds to a model's counts of USER samples, CORE samples and subjects."""
    conn.execute(_TALLY, {"of_key": key, "users": user, "cores": core, "subjects": subjects})


def _model(row: sa.Row[Any]) -> Model:
    return Model(
        key=row.key,
        model_id=row.model_id,
        core=row.core,
        objective=Objective.from_json(row.objective),
        minimum_cohort=row.minimum_cohort,
        sample_count=row.user_count + row.core_count,
        subject_count=row.subject_count,
        release=row.release,
        create_time=row.create_time,
        version=row.version,
    )
