"""What a batch of requests takes away of one model, each row once.

Rows are found and opened first, so that a request that cannot be carried out is known
before anything has changed; then they leave the statistics, then the database.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from unlearn_server import rows
from unlearn_server.domain import Erasure, Method, Model, Retention, SelectionKind, StoredSample
from unlearn_server.errors import Reason, ServerError, ServiceError
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import samples
from unlearning.release import ForgettingModel

Culprit = tuple[Erasure, Exception]
"""A request that cannot be carried out, and why."""


class Removal:
    """The rows that requests name.

    Attributes:
        counts: by erasure key, how many rows each request takes; a row that several
            name is counted for the first.
        sample_ids: by erasure key, the ids of those rows; missing for all user data.
        cohort: of how many subjects these rows are.
    """

    def __init__(self, model: Model, keys: KeyRing, user_rows: int) -> None:
        self._model = model
        self._keys = keys
        self._left = user_rows
        self._taken: dict[int, bytes | None] = {}
        self._opened: list[rows.Rows] = []
        self._everyone: Method | None = None
        self.counts: dict[int, int] = {}
        self.sample_ids: dict[int, list[str]] = {}
        self.cohort = 0

    @property
    def changes_anything(self) -> bool:
        """Whether a row goes at all."""
        return any(self.counts.values())

    def find(self, conn: Connection, batch: Sequence[Erasure]) -> list[Culprit]:
        """Finds and opens the rows of requests, in their order.

        Returns:
            The requests of which that cannot be done: one of its samples was added as CORE
            since it was accepted, or does not open.
        """
        culprits: list[Culprit] = []
        selections = [erasure.selection for erasure in batch]
        found = samples.matching(conn, self._model.key, selections)
        for erasure, named in zip(batch, found, strict=True):
            try:
                self._take(erasure, named)
            except ServerError as error:
                culprits.append((erasure, error))
        if self._everyone is None:
            self.cohort = len(set(self._taken.values()) - {None})
        else:
            _, self.cohort = samples.count(conn, self._model.key, selections)
        return culprits

    def subtract(self, conn: Connection, state: ForgettingModel) -> None:
        """Takes the rows out of the statistics; raises DecryptionError for all user data."""
        if self._everyone is Method.ZERO:
            state.erase_all_user_rows()
            return
        opened = rows.Rows.joined(self._opened)
        for start in range(0, len(opened), rows.ROWS_AT_ONCE):
            block = opened[start : start + rows.ROWS_AT_ONCE]
            state.erase(block.entries, block.labels)
        if self._everyone is None:
            return
        for stored in samples.stream(conn, self._model.key, rows.ROWS_AT_ONCE):
            users = [row for row in stored if row.retention is Retention.USER]
            rest = [row for row in users if row.key not in self._taken]
            opened = rows.unseal(rest, self._model, self._keys)
            state.erase(opened.entries, opened.labels)

    def delete(self, conn: Connection) -> None:
        """Deletes the rows, and their keys."""
        if self._everyone is not None:
            samples.erase_user_data(conn, self._model.key)
        else:
            samples.erase(conn, self._model.key, sorted(self._taken))

    def _take(self, erasure: Erasure, named: Sequence[StoredSample]) -> None:
        """Opens those of a request's rows that nobody has taken; raises as ``find`` answers."""
        if any(row.retention is Retention.CORE for row in named):
            message = "a sample that it names is retained as CORE, which is never erased"
            raise ServiceError(Reason.CORE_SAMPLE, message)
        new = [row for row in named if self._everyone is None and row.key not in self._taken]
        opened = rows.unseal(new, self._model, self._keys)
        self._opened.append(opened)
        self._taken.update((row.key, row.subject_hash) for row in new)
        count = len(new)
        if erasure.selection.kind is SelectionKind.ALL_USER_DATA:
            self._everyone = self._everyone or erasure.method
            count = self._left
        else:
            self.sample_ids[erasure.key] = opened.ids.tolist()
        self.counts[erasure.key] = count
        self._left -= count
