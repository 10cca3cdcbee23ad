"""Recomputes a model from its stored rows and compares it with what is served."""

from dataclasses import dataclass
from hmac import compare_digest
from secrets import token_bytes

from sqlalchemy import Connection

from unlearn_server import rows
from unlearn_server.domain import Model, Release
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import models, releases
from unlearn_server.ledger.database import Database
from unlearn_server.workspace import Served, Workspaces
from unlearning.commitment import SALT_BYTES, weights_commitment
from unlearning.forgetting import MixedPrivacyModel
from unlearning.rounding import Solution


@dataclass(frozen=True)
class Audit:
    """What was recomputed and what is held, both committed to under one salt.

    The weights' commitments are empty for a model without a release.
    """

    salt: bytes
    state_recomputed: bytes
    state_held: bytes
    weights_recomputed: bytes
    weights_served: bytes
    samples: int

    @property
    def consistent(self) -> bool:
        """Whether the model is what its rows make it."""
        return compare_digest(self.state_recomputed, self.state_held) and compare_digest(
            self.weights_recomputed, self.weights_served
        )


class Auditor:
    """Audits models."""

    def __init__(self, database: Database, keys: KeyRing, workspaces: Workspaces) -> None:
        self._database = database
        self._keys = keys
        self._workspaces = workspaces

    def audit(self, model_id: str, salt: bytes) -> Audit:
        """Commits under ``salt``, or that of the release served where it is empty.

        Raises:
            ServiceError: MODEL_NOT_FOUND.
        """
        workspace = self._workspaces.get(model_id)
        with workspace.lock, self._database.read() as conn:
            served = workspace.served(self._database, model_id)
            model = models.get(conn, model_id)
            release = releases.serving(conn, model.key)
            salt = salt or (release.salt if release and release.salt else token_bytes(SALT_BYTES))
            held = workspace.state(conn, model, self._keys).state_commitment(salt)
            state, solution = self._recompute(conn, model, release)
        return Audit(
            salt=salt,
            state_recomputed=state.state_commitment(salt),
            state_held=held,
            weights_recomputed=(
                weights_commitment(salt, model.objective, solution.weights) if solution else b""
            ),
            weights_served=_served_commitment(served, salt),
            samples=state.everything.n,
        )

    def _recompute(
        self, conn: Connection, model: Model, release: Release | None
    ) -> tuple[MixedPrivacyModel, Solution | None]:
        """The state of all rows, and the solution of those that the release was made of.

        A release covers all rows held at its time, and every erasure makes a new one: it
        is made of the oldest rows, and those after them were added since.
        """
        state = MixedPrivacyModel(model.objective)
        covered = release.sample_count if release else 0
        solution = state.solve() if release and not covered else None
        for block in rows.stream(conn, model, self._keys):
            split = max(0, min(len(block), covered - state.everything.n))
            for part in (block[:split], block[split:]):
                if len(part):
                    state.add(part.psi, part.labels, part.is_core)
                if release and state.everything.n == covered and solution is None:
                    solution = state.solve()
        return state, solution


def _served_commitment(served: Served, salt: bytes) -> bytes:
    """Of the weights that predictions are made with, not of the database's."""
    if not served.release:
        return b""
    objective = served.model.objective
    return weights_commitment(salt, objective, objective.grid(served.weights))
