"""Carries erasures out: one thread takes samples away from FEATURES models, one from TANGENT.

All requests that wait for a model go together: their rows are found, opened and
subtracted, the weights solved and certified in memory, and then one transaction deletes
the rows and their keys, destroys the old release, inserts the new one and records the
outcomes. A crash before its commit leaves nothing done, after it everything.

A request whose own rows stand in the way waits for an operator; the others are looked
at anew, so that it neither holds them up nor makes them go in too small a cohort. What
is no single request's fault is tried once more, and then all of the batch waits for an
operator. Trouble with the storage is nobody's fault: the batch stays as it is until the
storage is back. A request that was cancelled or held meanwhile undoes the whole batch, which
is then done without it. Of several servers the one that holds the lease erases; what it has not
committed when another takes its place, that one does.

TANGENT models take minutes to solve for. The thread that looks after them also solves for
the releases that were asked for; where the server goes down, both are begun anew.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from threading import Thread
from time import monotonic, sleep

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from unlearn_server import concluding, deadlines, releasing
from unlearn_server.announcements import Announcements
from unlearn_server.certifying import Certifier
from unlearn_server.domain import Erasure, ErasureState, Model, Outcome, SelectionKind
from unlearn_server.errors import Reason, ServerError, ServiceError, TakenOverError
from unlearn_server.failpoints import Failpoint, reach
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import erasures, models, outcomes, releases, samples, suppressions
from unlearn_server.ledger.database import Database
from unlearn_server.metrics import Metrics
from unlearn_server.releasing import Releaser
from unlearn_server.removal import Culprit, Removal
from unlearn_server.statements import Case
from unlearn_server.watch import StoppingError, Watch, WithdrawnError
from unlearn_server.workspace import Served, Workspace, Workspaces
from unlearning import background
from unlearning.errors import UnlearningError
from unlearning.release import NO_LEAKAGE

LOOK_AGAIN_SECONDS = 30.0
"""How long a request that waits for its cohort, or for storage, may go unlooked at."""

SOLVE_PAUSE_SECONDS = 0.25
"""Who solves for minutes need not look the moment a request comes, which is seldom of TANGENT."""

QUIET_SECONDS = 0.05
LONGEST_SECONDS = 1.0
"""Erased pages are cleared when so long no request has come, or they have waited so long."""

_log = structlog.get_logger(__name__)


class Eraser:
    """Erases in the background until stopped; in TANGENT models, or in the others."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        workspaces: Workspaces,
        releaser: Releaser,
        certifier: Certifier,
        metrics: Metrics,
        to_erase: Announcements,
        changes: Announcements,
        *,
        tangent: bool,
    ) -> None:
        self._database = database
        self._keys = keys
        self._workspaces = workspaces
        self._releaser = releaser
        self._certifier = certifier
        self._metrics = metrics
        self._to_erase = to_erase
        self._changes = changes
        self._tangent = tangent
        self._stopping = False
        # Erased pages linger in the write-ahead log until a checkpoint, which a crash or a
        # reader may have prevented. Nobody can write meanwhile, so it waits for a quiet moment.
        self._lingers_since: float | None = monotonic()
        self._thread = Thread(target=self._run, name="tangent-eraser" if tangent else "eraser")

    def start(self) -> None:
        """Takes up what is open, then what comes."""
        self._thread.start()

    def stop(self) -> None:
        """Finishes the batch in hand and returns; the rest waits in the database."""
        self._stopping = True
        self._to_erase.ring()
        self._thread.join()

    def _run(self) -> None:
        background.give_way()
        while not self._stopping:
            heard = self._to_erase.rings
            try:
                self.erase_open()
                self._clear(heard)
            except Exception:
                _log.exception("the eraser could not go on and will look again")
            lingers = self._lingers_since is not None
            self._to_erase.wait(heard, LONGEST_SECONDS if lingers else LOOK_AGAIN_SECONDS)
            if self._tangent and not self._stopping:
                sleep(SOLVE_PAUSE_SECONDS)

    def erase_open(self) -> None:
        """Carries out every request that is ready, if that is this server's to do."""
        if self._database.fence is None:
            return
        with self._database.read() as conn:
            model_ids = erasures.models_with_open(conn, tangent=self._tangent)
            if self._tangent:
                model_ids = sorted({*model_ids, *releases.models_with_solving(conn)})
        for model_id in model_ids:
            if not self._stopping:
                self._look_after(model_id)
        # Whoever rang may have left something even so: who withdraws a request, its salt.
        if (model_ids or not self._tangent) and self._lingers_since is None:
            self._lingers_since = monotonic()

    def _clear(self, heard: int) -> None:
        """Clears what the storage kept of erased rows, once nobody waits for the next erasure."""
        if self._lingers_since is None:
            return
        is_quiet = self._to_erase.wait(heard, QUIET_SECONDS) == heard
        overdue = monotonic() - self._lingers_since > LONGEST_SECONDS
        if (is_quiet or overdue or self._stopping) and self._database.checkpoint():
            self._lingers_since = None

    def _look_after(self, model_id: str) -> None:
        """Keeps one model's trouble from the others."""
        try:
            self._erase_in(model_id)
        except Exception:
            # Nothing is lost: what is open stays in the database.
            _log.exception("a model's erasures could not go on", model=model_id)
        finally:
            if self._tangent:
                self._metrics.solve_residual.clear()  # nothing is being solved for

    def _erase_in(self, model_id: str) -> None:
        workspace = self._workspaces.get(model_id)
        with workspace.lock:
            try:
                fence = self._database.hold()
                while culprits := self._try(workspace, model_id, fence):
                    for erasure, error in culprits:
                        self._give_to_operator(erasure, error, fence)
                if self._tangent:
                    self._releaser.finish(workspace, model_id, self._watch(model_id, fence))
            except TakenOverError:
                _log.warning("another server erases now", model=model_id)
            except WithdrawnError:
                _log.info(
                    "a request was withdrawn or held while it was carried out", model=model_id
                )
                self._to_erase.ring()
            except StoppingError:
                _log.info("a solve is left for when the server is back", model=model_id)
            finally:
                self._changes.ring()
            workspace.maintain()

    def _watch(self, model_id: str, fence: int, batch: Sequence[Erasure] = ()) -> Watch:
        return Watch(
            self._database,
            self._metrics,
            self._changes,
            model_id,
            fence,
            [erasure.key for erasure in batch],
            lambda: self._stopping,
        )

    def _try(self, workspace: Workspace, model_id: str, fence: int) -> list[Culprit]:
        """Erases all that is ready; or leaves nothing done, and says which requests to take out.

        Raises:
            WithdrawnError: if one was cancelled or held meanwhile.
            StoppingError: if the server goes down before a long solve is done.
            TakenOverError: if the lease has another number by then.
        """
        for is_last_try in (False, True):
            with self._database.read() as conn:
                model = models.get(conn, model_id)
                batch = _ready(conn, model, erasures.open_for_model(conn, model_id))
            if not batch:
                return []
            try:
                return self._erase(workspace, model, batch, fence)
            except (OperationalError, OSError, WithdrawnError, StoppingError, TakenOverError):
                workspace.drop_state()
                raise
            except Exception as error:
                workspace.drop_state()
                _log.exception("erasures failed", model=model_id, requests=len(batch))
                if is_last_try:
                    return [(erasure, error) for erasure in batch]
        return []

    def _erase(
        self, workspace: Workspace, model: Model, batch: Sequence[Erasure], fence: int
    ) -> list[Culprit]:
        with self._database.read() as conn:
            state = workspace.state(conn, model, self._keys)
            removal = Removal(model, self._keys, state.n - state.core_n)
            culprits = removal.find(conn, batch)
            if culprits:
                return culprits  # nothing has changed
            reach(Failpoint.ERASE_FOUND)
            removal.subtract(conn, state)
            reach(Failpoint.ERASE_SUBTRACTED)
            release = None if removal.changes_anything else releases.serving(conn, model.key)
        releases_anew = model.release is not None and removal.changes_anything
        prepared, leakage = None, NO_LEAKAGE
        if releases_anew:
            watch = self._watch(model.model_id, fence, batch) if self._tangent else None
            prepared, leakage = releasing.prepare(state, self._metrics, watch)
            reach(Failpoint.ERASE_SOLVED)
        version = model.version
        with workspace.changing_release():
            with self._database.write(fence) as conn:
                now, batch = datetime.now(UTC), erasures.with_deadlines(conn, batch)
                if removal.changes_anything:
                    version = models.bump(conn, model.key)
                    removal.delete(conn)
                    reach(Failpoint.ERASE_DELETED)
                if prepared:
                    release = releasing.insert(conn, model, prepared, self._keys)
                    reach(Failpoint.ERASE_RELEASED)
                suppressions.add(conn, model.key, _subjects(batch), now)
                cases = concluding.cases(
                    model, batch, removal, self._keys, release, state.n, leakage, now
                )
                _add_outcomes(conn, self._certified(conn, cases), now)
                # Whatever can fail comes before the commit.
                served = Served.of(model, release, self._keys)
                reach(Failpoint.ERASE_STORED)
            reach(Failpoint.ERASE_COMMITTED)
            workspace.keep_state(state, version)
            workspace.publish(served, fence)
        reach(Failpoint.ERASE_SERVED)
        self._record(served, batch, removal, now)
        return []

    def _certified(self, conn: Connection, cases: Sequence[Case]) -> dict[int, Outcome]:
        """Certifies outcomes; answers them by erasure key."""
        indices = self._certifier.certify(conn, cases)
        return {
            case.erasure.key: replace(case.outcome, certificate=index)
            for case, index in zip(cases, indices, strict=True)
        }

    def _record(
        self, served: Served, batch: Sequence[Erasure], removal: Removal, now: datetime
    ) -> None:
        for erasure in batch:
            if erasure.waiting != (served.model.model_id,):
                continue  # other models have yet to forget
            self._metrics.erasure_seconds.observe((now - erasure.receive_time).total_seconds())
            if now > erasure.due_time:
                name, due_time = f"erasures/{erasure.request_id}", erasure.due_time.isoformat()
                _log.warning("an erasure was completed late", erasure=name, due_time=due_time)
        _log.info(
            "erased",
            model=served.model.model_id,
            requests=len(batch),
            samples=sum(removal.counts.values()),
            release=served.release,
        )

    def _give_to_operator(self, erasure: Erasure, error: Exception, fence: int) -> None:
        # An error of ours has words without personal data; of others only the kind is told.
        words = str(error) if isinstance(error, (ServerError, UnlearningError)) else ""
        name = f"erasures/{erasure.request_id}"
        _log.error("an erasure needs its operator", erasure=name, exc_info=error)
        with self._database.write(fence) as conn:
            erasures.transition(
                conn,
                erasure.request_id,
                erasures.RUNNABLE_STATES,
                ErasureState.NEEDS_OPERATOR,
                reason=words or f"failed with {type(error).__name__}; see the server's log",
            )


def _add_outcomes(conn: Connection, done: dict[int, Outcome], now: datetime) -> None:
    try:
        outcomes.add_all(conn, done, now)
    except ServiceError as error:
        if error.reason is Reason.ERASURE_STATE:
            raise WithdrawnError from error
        raise


def _subjects(batch: Sequence[Erasure]) -> set[bytes]:
    """Whom requests name, whether or not a sample was held."""
    selections = [each.selection for each in batch]
    return {
        subject
        for each in selections
        if each.kind is SelectionKind.SUBJECTS
        for subject in each.hashes
    }


def _ready(conn: Connection, model: Model, waiting: Sequence[Erasure]) -> Sequence[Erasure]:
    """All that wait, or none while they are fewer subjects than the minimum cohort."""
    last_call = datetime.now(UTC) + deadlines.LAST_CALL
    if model.minimum_cohort <= 1 or any(erasure.due_time <= last_call for erasure in waiting):
        return waiting
    selections = [erasure.selection for erasure in waiting]
    _, cohort = samples.count(conn, model.key, selections)
    return waiting if cohort >= model.minimum_cohort else ()
