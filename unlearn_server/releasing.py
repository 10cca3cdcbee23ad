"""Makes releases: solves for the weights of the rows held and commits them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_bytes
from time import perf_counter

import structlog
from sqlalchemy import Connection

from unlearn_server import weights
from unlearn_server.announcements import Announcements
from unlearn_server.domain import Model, Release
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.failpoints import Failpoint, reach
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import key_ids, models, releases
from unlearn_server.ledger.database import Database
from unlearn_server.metrics import Metrics
from unlearn_server.watch import Watch
from unlearn_server.workspace import Served, Workspace, Workspaces
from unlearning.commitment import SALT_BYTES, weights_commitment
from unlearning.errors import UnlearningError
from unlearning.release import ForgettingModel, Leakage
from unlearning.rounding import SolveReport

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Prepared:
    """All of a release but its number, made before the transaction that stores it."""

    sample_count: int
    solve: SolveReport
    secrets: weights.Secrets
    weights_commitment: bytes
    state_commitment: bytes


class Releaser:
    """Solves and releases on request: at once, or for TANGENT behind the request."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        workspaces: Workspaces,
        metrics: Metrics,
        to_solve: Announcements,
    ) -> None:
        self._database = database
        self._keys = keys
        self._workspaces = workspaces
        self._metrics = metrics
        self._to_solve = to_solve

    def create(self, model_id: str, request_id: str) -> Release:
        """Releases the weights of every sample held; a repeated request changes nothing.

        Raises:
            ServiceError: MODEL_NOT_FOUND; RELEASE_SOLVING while another one is solved for;
                TAKEN_OVER.
        """
        workspace = self._workspaces.get(model_id)
        with self._database.read() as conn:
            is_tangent = models.get(conn, model_id).objective.is_tangent
        if is_tangent:
            return self._begin(model_id, request_id)
        with workspace.lock:
            fence = self._database.hold()
            with self._database.read() as conn:
                model = models.get(conn, model_id)
                earlier = releases.by_request(conn, model.key, request_id)
            return earlier or self._release(workspace, model, fence, request_id=request_id)

    def _begin(self, model_id: str, request_id: str) -> Release:
        with self._database.write() as conn:
            model = models.get(conn, model_id)
            earlier = releases.by_request(conn, model.key, request_id)
            if earlier is not None:
                return earlier
            if releases.solving(conn, model.key):
                message = "model: a release of it is being solved for; wait until it serves"
                raise ServiceError(
                    Reason.RELEASE_SOLVING, message, field="model", retry_after_seconds=1.0
                )
            release = releases.begin(conn, model.key, datetime.now(UTC), request_id)
        self._to_solve.ring()
        return release

    def finish(self, workspace: Workspace, model_id: str, watch: Watch) -> None:
        """Solves for the release that was begun, if there is one; call with the lock held.

        Raises:
            StoppingError: if the server goes down meanwhile; it stays begun.
            TakenOverError: if another server has it now.
        """
        fence = self._database.hold()
        with self._database.read() as conn:
            model = models.get(conn, model_id)
            if not releases.solving(conn, model.key):
                return
        try:
            self._release(workspace, model, fence, watch)
        except UnlearningError:
            _log.exception("no release was made", model=model_id)
            with self._database.write(fence) as conn:
                releases.fail(conn, model.key)

    def _release(
        self,
        workspace: Workspace,
        model: Model,
        fence: int,
        watch: Watch | None = None,
        request_id: str | None = None,
    ) -> Release:
        with self._database.read() as conn:
            state = workspace.state(conn, model, self._keys)
        prepared, _ = prepare(state, self._metrics, watch)
        reach(Failpoint.RELEASE_SOLVED)
        workspace.drop_state()  # it remembers this release, and is kept again once that is stored
        with workspace.changing_release():
            with self._database.write(fence) as conn:
                version = models.bump(conn, model.key)
                release = insert(conn, model, prepared, self._keys, request_id)
                # Whatever can fail comes before the commit.
                served = Served.of(model, release, self._keys)
                reach(Failpoint.RELEASE_STORED)
            reach(Failpoint.RELEASE_COMMITTED)
            workspace.keep_state(state, version)
            workspace.publish(served, fence)
        return release


def prepare(
    state: ForgettingModel, metrics: Metrics, watch: Watch | None = None
) -> tuple[Prepared, Leakage]:
    """Solves, commits under a fresh salt, and tells the operator how it went."""
    salt = token_bytes(SALT_BYTES)
    commit = state.begin_commitment()
    started = perf_counter()
    released = state.release(watch.progress, watch.stop) if watch else state.release()
    metrics.solve_seconds.observe(perf_counter() - started)
    metrics.solve_iterations.observe(released.steps)
    if released.margin is not None:
        metrics.rounding_margin.observe(released.margin)
    return Prepared(
        sample_count=state.n,
        solve=released.report,
        secrets=weights.Secrets(salt, released.weights.astype("<i8").tobytes()),
        weights_commitment=weights_commitment(salt, state.objective, released.weights),
        state_commitment=commit(salt),
    ), released.leakage


def insert(
    conn: Connection,
    model: Model,
    prepared: Prepared,
    keys: KeyRing,
    request_id: str | None = None,
) -> Release:
    """Seals and stores a release, and destroys the one before."""
    commitment, master_id = prepared.weights_commitment, key_ids.masters(conn)[-1]
    return releases.insert(
        conn,
        model.key,
        sample_count=prepared.sample_count,
        solve=prepared.solve,
        sealed=weights.seal(prepared.secrets, model, commitment, keys, master_id),
        weights_commitment=commitment,
        state_commitment=prepared.state_commitment,
        create_time=datetime.now(UTC),
        request_id=request_id,
    )
