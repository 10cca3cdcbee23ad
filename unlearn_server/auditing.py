"""Recomputes a model from its stored rows and compares it with what is served.

Weights that are exact are compared by their commitments. With noise, or TANGENT, they are
compared within what bounds and noise allow, and their commitments stay empty.
"""

from dataclasses import dataclass
from hmac import compare_digest
from secrets import token_bytes
from threading import Event

from sqlalchemy import Connection

from unlearn_server import rows, weights
from unlearn_server.domain import Release
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import models, releases
from unlearn_server.ledger.database import Database
from unlearn_server.workspace import Served, Workspace, Workspaces
from unlearning.commitment import SALT_BYTES, weights_commitment
from unlearning.release import ForgettingModel


@dataclass(frozen=True)
class Audit:
    """What was recomputed and what is held, both committed to under one salt.

    The weights' commitments are empty for a model without a release, and for weights that are
    not exact.
    """

    salt: bytes
    state_recomputed: bytes
    state_held: bytes
    weights_recomputed: bytes
    weights_served: bytes
    weights_agree: bool
    samples: int

    @property
    def consistent(self) -> bool:
        """Whether the model is what its rows make it."""
        return self.weights_agree and compare_digest(self.state_recomputed, self.state_held)


@dataclass(frozen=True)
class _Weights:
    """Whether those recomputed and those served agree, and commitments where they are exact."""

    agree: bool
    recomputed: bytes = b""
    served: bytes = b""


class Auditor:
    """Audits models."""

    def __init__(
        self, database: Database, keys: KeyRing, workspaces: Workspaces, draining: Event
    ) -> None:
        self._database = database
        self._keys = keys
        self._workspaces = workspaces
        self._draining = draining

    def audit(self, model_id: str, salt: bytes) -> Audit:
        """Commits under ``salt``, or that of the release served where it is empty.

        Raises:
            ServiceError: MODEL_NOT_FOUND; SHUTTING_DOWN, which ends a long solve.
        """
        workspace = self._workspaces.get(model_id)
        with workspace.lock, self._database.read() as conn:
            served = workspace.served(self._database, model_id, self._keys)
            model = models.get(conn, model_id)
            release = releases.serving(conn, model.key)
            secrets = weights.unseal(release, model, self._keys)
            salt = salt or (secrets.salt if secrets else token_bytes(SALT_BYTES))
            held = workspace.state(conn, model, self._keys).state_commitment(salt)
            state, compared = self._recompute(conn, workspace, served, release, salt)
        return Audit(
            salt=salt,
            state_recomputed=state.state_commitment(salt),
            state_held=held,
            weights_recomputed=compared.recomputed,
            weights_served=compared.served,
            weights_agree=compared.agree,
            samples=state.n,
        )

    def _recompute(
        self,
        conn: Connection,
        workspace: Workspace,
        served: Served,
        release: Release | None,
        salt: bytes,
    ) -> tuple[ForgettingModel, _Weights]:
        """The state of all rows, and what those that the release was made of say of it.

        A release covers all rows held at its time, and every erasure makes a new one: it
        is made of the oldest rows, and those after them were added since.
        """
        state = workspace.empty_state(served.model)
        covered = release.sample_count if release else 0
        compared = None if covered else self._compare(state, served, release, salt)
        for block in rows.stream(conn, served.model, self._keys):
            split = max(0, min(len(block), covered - state.n))
            for part in (block[:split], block[split:]):
                if len(part):
                    state.add(part.entries, part.labels, part.is_core)
                if compared is None and state.n == covered:
                    compared = self._compare(state, served, release, salt)
        return state, compared or _Weights(agree=False)

    def _compare(
        self, state: ForgettingModel, served: Served, release: Release | None, salt: bytes
    ) -> _Weights:
        """Of the weights that predictions are made with, not of the database's."""
        if release is None or release.solve is None:
            return _Weights(agree=served.weights is None)
        if served.weights is None:
            return _Weights(agree=False)
        objective = state.objective
        if not objective.is_exact:
            return _Weights(agree=state.is_near(served.weights, release.solve, self._stop))
        recomputed = weights_commitment(salt, objective, state.release().weights)
        held = weights_commitment(salt, objective, objective.grid(served.weights))
        return _Weights(compare_digest(recomputed, held), recomputed, held)

    def _stop(self) -> None:
        if self._draining.is_set():
            message = "the server is going down; audit again when it is back"
            raise ServiceError(Reason.SHUTTING_DOWN, message, retry_after_seconds=1.0)
