"""Follows one long solve: says how far it is, and ends it where nobody wants it any more."""

from collections.abc import Callable, Sequence
from time import monotonic

import structlog

from unlearn_server.announcements import Announcements
from unlearn_server.errors import ServerError
from unlearn_server.ledger import erasures
from unlearn_server.ledger.database import Database
from unlearn_server.metrics import Metrics

_SECONDS = 1.0
"""Between two looks at the database."""

_log = structlog.get_logger(__name__)


class WithdrawnError(ServerError):
    """A request was cancelled, or a hold came to apply to it, while it was carried out."""


class StoppingError(ServerError):
    """The server goes down; the solve is done anew when it is back."""


class Watch:
    """Is told of every iteration, and looks at the requests of the batch once a second.

    ``fence`` is the lease's number that the solve began under.
    """

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        changes: Announcements,
        model_id: str,
        fence: int,
        erasure_keys: Sequence[int],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._database = database
        self._residual = metrics.solve_residual.labels(model_id)
        self._changes = changes
        self._model_id = model_id
        self._fence = fence
        self._keys = erasure_keys
        self._is_stopping = is_stopping
        self._looked = monotonic()

    def progress(self, iteration: int, relative_residual: float) -> None:
        """Tells metrics, log and the requests' watchers how far the solve is."""
        if monotonic() - self._looked < _SECONDS:
            return
        self._looked = monotonic()
        self._residual.set(relative_residual)
        _log.info("solving", model=self._model_id, iteration=iteration, residual=relative_residual)
        if self._keys:
            words = f"solving: iteration {iteration}, residual {relative_residual:.1e} of the first"
            with self._database.write(self._fence) as conn:
                if not erasures.tell(conn, self._keys, words):
                    raise WithdrawnError
            self._changes.ring()

    def stop(self) -> None:
        """Ends the solve of a server that goes down; raises StoppingError."""
        if self._is_stopping():
            raise StoppingError
