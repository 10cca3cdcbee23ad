"""Makes releases: solves for the weights of the rows held and commits them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_bytes
from time import perf_counter

from sqlalchemy import Connection

from unlearn_server.domain import Model, Release
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import models, releases
from unlearn_server.ledger.database import Database
from unlearn_server.metrics import Metrics
from unlearn_server.workspace import Served, Workspaces
from unlearning.commitment import SALT_BYTES, weights_commitment
from unlearning.forgetting import MixedPrivacyModel
from unlearning.rounding import SolveReport


@dataclass(frozen=True)
class Prepared:
    """All of a release but its number, made before the transaction that stores it."""

    sample_count: int
    solve: SolveReport
    weights: bytes
    salt: bytes
    weights_commitment: bytes
    state_commitment: bytes


class Releaser:
    """Solves and releases on request."""

    def __init__(
        self, database: Database, keys: KeyRing, workspaces: Workspaces, metrics: Metrics
    ) -> None:
        self._database = database
        self._keys = keys
        self._workspaces = workspaces
        self._metrics = metrics

    def create(self, model_id: str, request_id: str) -> Release:
        """Releases the weights of every sample held; a repeated request changes nothing.

        Raises:
            ServiceError: MODEL_NOT_FOUND.
        """
        workspace = self._workspaces.get(model_id)
        with workspace.lock:
            with self._database.read() as conn:
                model = models.get(conn, model_id)
                earlier = releases.by_request(conn, model.key, request_id)
                if earlier is not None:
                    return earlier
                state = workspace.state(conn, model, self._keys)
            prepared = prepare(state, self._metrics)
            with self._database.write() as conn:
                version = models.bump(conn, model.key)
                release = insert(conn, model, prepared, request_id)
                served = Served.of(model, release)  # whatever can fail comes before the commit
            workspace.keep_state(state, version)
            workspace.publish(served)
            return release


def prepare(state: MixedPrivacyModel, metrics: Metrics) -> Prepared:
    """Solves, commits under a fresh salt, and tells the operator how it went."""
    salt = token_bytes(SALT_BYTES)
    commit = state.begin_commitment()
    started = perf_counter()
    solution = state.solve()
    metrics.solve_seconds.observe(perf_counter() - started)
    metrics.solve_iterations.observe(solution.steps)
    metrics.rounding_margin.observe(solution.margin)
    return Prepared(
        sample_count=state.everything.n,
        solve=solution.report(state.objective, state.solver),
        weights=solution.weights.astype("<i8").tobytes(),
        salt=salt,
        weights_commitment=weights_commitment(salt, state.objective, solution.weights),
        state_commitment=commit(salt),
    )


def insert(
    conn: Connection, model: Model, prepared: Prepared, request_id: str | None = None
) -> Release:
    """Stores a release, and destroys the one before."""
    return releases.insert(
        conn,
        model.key,
        **vars(prepared),
        create_time=datetime.now(UTC),
        request_id=request_id,
    )
