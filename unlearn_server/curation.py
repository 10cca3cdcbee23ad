"""Creates and deletes models."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from unlearn_server.announcements import Announcements
from unlearn_server.domain import Model
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger import erasures, holds, models
from unlearn_server.ledger.database import Database
from unlearn_server.workspace import Workspaces
from unlearning.cores import Core
from unlearning.cores.head import check_head, has_head
from unlearning.objective import DEFAULT_LABEL_SCALE, Noise, Objective


@dataclass(frozen=True)
class Settings:
    """How user weights enter a model, in real units; empty and 0 mean the default.

    ``tangent_scope`` is None for FEATURES.
    """

    feature_map: str
    feature_bound: float
    ridge: float
    label_scale: float
    tangent_scope: str | None
    noise_scale: float
    noise: Noise


class Curation:
    """Owns the list of models."""

    def __init__(self, database: Database, workspaces: Workspaces, changes: Announcements) -> None:
        self._database = database
        self._workspaces = workspaces
        self._changes = changes

    def create(
        self,
        model_id: str,
        core_name: str,
        classes: tuple[str, ...],
        settings: Settings,
        minimum_cohort: int,
        *,
        needs_head: bool = False,
    ) -> Model:
        """Creates an empty model on an installed core.

        It has the core's head if that has all the classes; one that needs it is refused else.

        Raises:
            ServiceError: MODEL_EXISTS.
            InvalidInputError: for a core or a setting that cannot be used.
        """
        core = self._workspaces.core(core_name)
        if needs_head:
            check_head(core, classes)
        objective = _objective(core, classes, settings)
        with self._database.write() as conn:
            return models.insert(
                conn,
                model_id=model_id,
                core=core_name,
                objective=objective,
                minimum_cohort=minimum_cohort,
                create_time=datetime.now(UTC),
            )

    def delete(self, model_id: str, etag: str) -> None:
        """Deletes a model, its samples, its releases and its keys.

        Raises:
            ServiceError: MODEL_NOT_FOUND, ETAG_MISMATCH; ERASURE_OPEN while one is; HOLD_APPLIES
                while the erasure of a sample in it is suspended; TAKEN_OVER.
        """
        with self._workspaces.get(model_id).lock:
            with self._database.write(self._database.hold()) as conn:
                model = models.get(conn, model_id)
                _check_deletable(conn, model, etag)
                models.delete(conn, model.key, datetime.now(UTC))
            self._workspaces.forget(model_id)
        self._changes.ring()
        self._database.checkpoint()


def _objective(core: Core, classes: tuple[str, ...], settings: Settings) -> Objective:
    """The settings in effect; raises InvalidInputError for one that cannot be used."""
    scope, ridge = "", core.ridge
    feature_map = core.resolve(settings.feature_map)
    if settings.tangent_scope is not None:
        scope = settings.tangent_scope or core.tangent_scope
        feature_map, ridge = core.entrance(scope), core.tangent_ridge
    return Objective.create(
        core_digest=core.digest,
        feature_map=feature_map,
        width=core.width(feature_map),
        feature_bound=settings.feature_bound or core.feature_bound,
        ridge=settings.ridge or ridge,
        label_scale=settings.label_scale or DEFAULT_LABEL_SCALE,
        classes=classes,
        tangent_scope=scope,
        noise_scale=settings.noise_scale,
        noise=settings.noise,
        has_head=has_head(core, classes),
    )


def _check_deletable(conn: Connection, model: Model, etag: str) -> None:
    if etag and etag != model.etag:
        message = "etag: the model has changed since; get it again, and delete if you still mean it"
        raise ServiceError(Reason.ETAG_MISMATCH, message, field="etag")
    if erasures.has_open(conn, model.key):
        message = "name: an erasure of the model is open; wait for it, or cancel it"
        raise ServiceError(Reason.ERASURE_OPEN, message, field="name")
    if holds.apply_in(conn, model.model_id):
        message = "name: a hold applies to samples of the model; lift it first"
        raise ServiceError(Reason.HOLD_APPLIES, message, field="name")
