"""What is kept in memory of each model: caches of the database, never the truth.

The exact state can be recomputed from the rows at any time, bit for bit. So it is
never repaired: after any doubt it is dropped, and rebuilt when next needed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from unlearn_server import rows, weights
from unlearn_server.domain import Model, Release
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import models, releases
from unlearn_server.ledger.database import Database
from unlearning.cores import Core, Library
from unlearning.errors import InconsistentStateError
from unlearning.forgetting import MixedPrivacyModel
from unlearning.linearized import Linearization
from unlearning.newton import TangentModel
from unlearning.release import ForgettingModel


@dataclass(frozen=True)
class _Kept:
    """A release in memory, and the lease's number under which it was the one to serve."""

    fence: int | None
    served: "Served"


@dataclass(frozen=True)
class Served:
    """An immutable release, ready to predict with; ``release`` is 0 for the core alone.

    ``weights`` are real, shape (d, C) or (p,); None for the core alone, as if they were 0.
    """

    model: Model
    release: int
    weights: NDArray[np.float64] | None

    @classmethod
    def of(cls, model: Model, release: Release | None, keys: KeyRing) -> "Served":
        """Opens and decodes a release's weights; raises DecryptionError."""
        secrets = weights.unseal(release, model, keys)
        if release is None or secrets is None:
            return cls(model, 0, None)
        integers = np.frombuffer(secrets.weights, "<i8")
        if not model.objective.is_tangent:
            integers = integers.reshape(model.objective.width, len(model.objective.classes))
        return cls(model, release.number, model.objective.weights(integers))


class Workspace:
    """One model's caches. Whoever changes the model's samples or release holds ``lock``."""

    def __init__(self, empty: Callable[[Model], ForgettingModel]) -> None:
        self.lock = Lock()
        self._empty = empty
        self._publishing = Lock()
        self._kept: _Kept | None = None
        self._turns = 0  # odd while a release takes another's place
        self._state: ForgettingModel | None = None
        self._version = 0

    def state(self, conn: Connection, model: Model, keys: KeyRing) -> ForgettingModel:
        """The exact state at the model's version, rebuilt if it is not the one kept."""
        if self._state is None or self._version != model.version:
            self.drop_state()  # before the new one takes its memory
            state = self.empty_state(model)
            for block in rows.stream(conn, model, keys):
                state.add(block.entries, block.labels, block.is_core)
            self.keep_state(state, model.version)
        assert self._state is not None  # noqa: S101 # kept above
        return self._state

    def empty_state(self, model: Model) -> ForgettingModel:
        """The state of the model without a row; raises CORE_CHANGED as ``core_of`` does."""
        return self._empty(model)

    def keep_state(self, state: ForgettingModel, version: int) -> None:
        """Keeps the state that belongs to a committed version of the model."""
        self._state, self._version = state, version

    def maintain(self) -> None:
        """Gets the state ready for the next erasure; what contradicts itself is dropped."""
        if self._state is None:
            return
        try:
            self._state.maintain()
        except InconsistentStateError:
            self.drop_state()
            raise

    def drop_state(self) -> None:
        """Forgets a state that may not be the database's."""
        self._state = None

    @contextmanager
    def changing_release(self) -> Iterator[None]:
        """Around the commit of a release and ``publish``.

        Between the two whoever asks may know that it is there, so nothing older may answer:
        predictions look into the database meanwhile.
        """
        with self._publishing:
            self._kept = None
            self._turns += 1
        try:
            yield
        finally:
            with self._publishing:
                self._turns += 1

    def publish(self, served: Served, fence: int) -> None:
        """Serves a release that was committed under a lease; call inside ``changing_release``."""
        with self._publishing:
            self._kept = _Kept(fence, served)

    def served(self, database: Database, model_id: str, keys: KeyRing) -> Served:
        """The release to predict with; never waits for an erasure.

        What is in memory may be old as soon as another server may have the lease. Then the
        database is asked which release serves.

        Raises:
            ServiceError: MODEL_NOT_FOUND.
        """
        turn, kept, fence = self._turns, self._kept, database.fence
        if kept and fence is not None and kept.fence == fence:
            return kept.served
        with database.read() as conn:
            model = models.get(conn, model_id)
            if kept and kept.served.release == (model.release or 0):
                served = kept.served
            else:
                served = Served.of(model, releases.serving(conn, model.key), keys)
        with self._publishing:
            if turn == self._turns and turn % 2 == 0:
                self._kept = _Kept(fence, served)
        return served


class Workspaces:
    """The workspaces of all models, and the cores that they share."""

    def __init__(self, database: Database, library: Library) -> None:
        self._database = database
        self._library = library
        self._lock = Lock()
        self._workspaces: dict[str, Workspace] = {}
        self._linearizations: dict[tuple[object, ...], Linearization] = {}

    def get(self, model_id: str) -> Workspace:
        """A model's workspace; empty if this is the first that is asked of it.

        Raises:
            ServiceError: MODEL_NOT_FOUND.
        """
        workspace = self._workspaces.get(model_id)
        if workspace is not None:
            return workspace
        with self._database.read() as conn:
            models.get(conn, model_id)
        with self._lock:
            return self._workspaces.setdefault(model_id, Workspace(self._empty_state))

    def forget(self, model_id: str) -> None:
        """Frees what is kept of a deleted model."""
        with self._lock:
            self._workspaces.pop(model_id, None)

    def linearization(self, model: Model) -> Linearization:
        """The core of a TANGENT model, linearised once; raises CORE_CHANGED as ``core_of`` does."""
        core, objective = self.core_of(model), model.objective
        asked = (
            objective.tangent_scope,
            len(objective.classes),
            objective.features.step,
            objective.head,
        )
        with self._lock:
            key = (core.digest, *asked)
            if key not in self._linearizations:
                self._linearizations[key] = core.linearize(*asked)
            return self._linearizations[key]

    def _empty_state(self, model: Model) -> ForgettingModel:
        if not model.objective.is_tangent:
            return MixedPrivacyModel(model.objective)
        return TangentModel(model.objective, self.linearization(model))

    def core(self, name: str) -> Core:
        """A core, loaded once; raises InvalidInputError and CoreError as ``Library.load``."""
        return self._library.load(name)

    def core_of(self, model: Model) -> Core:
        """The core that a model was created on.

        Raises:
            ServiceError: CORE_CHANGED if the installed one is not it.
        """
        core = self.core(model.core)
        if core.digest != model.objective.core_digest:
            message = (
                f"core: {model.core} is installed with another digest than the model was "
                "created on; install the version of that digest"
            )
            raise ServiceError(Reason.CORE_CHANGED, message, field="core")
        return core
