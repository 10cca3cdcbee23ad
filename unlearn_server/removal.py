"""What a batch of requests takes away of one model, each row once.

Rows are found and opened first, so that a request that cannot be carried out is known
before anything has changed; then they leave the statistics, then the database.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from unlearn_server import rows
from unlearn_server.domain import Erasure, Method, Model, Retention, SelectionKind, StoredSample
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import samples
from unlearning.forgetting import MixedPrivacyModel


class Removal:
    """The rows that requests name.

    Attributes:
        counts: by erasure key, how many rows each request takes; a row that several
            name is counted for the first.
        subjects: hashes of the subjects whose rows go.
    """

    def __init__(self, model: Model, keys: KeyRing, user_rows: int) -> None:
        self._model = model
        self._keys = keys
        self._left = user_rows
        self._taken: set[int] = set()
        self._opened: list[rows.Rows] = []
        self._everyone: Method | None = None
        self.counts: dict[int, int] = {}
        self.subjects: set[bytes] = set()

    @property
    def changes_anything(self) -> bool:
        """Whether a row goes at all."""
        return any(self.counts.values())

    def find(self, conn: Connection, erasure: Erasure) -> None:
        """Finds and opens a request's rows.

        Raises:
            ServiceError: CORE_SAMPLE, if one was added since the request was accepted.
            DecryptionError: if one does not open.
        """
        key, selection = self._model.key, erasure.selection
        everyone = selection.kind is SelectionKind.ALL_USER_DATA
        if not everyone and samples.has_core_match(conn, key, selection):
            message = "a sample that it names is retained as CORE, which is never erased"
            raise ServiceError(Reason.CORE_SAMPLE, message)
        count = self._left
        if everyone:
            self._everyone = self._everyone or erasure.method
        else:
            stored = samples.matching(conn, key, selection, Retention.USER)
            count = self._open([row for row in stored if self._is_new(row)])
        self.subjects |= samples.subjects_matching(conn, key, selection)
        self.counts[erasure.key] = count
        self._left -= count

    def subtract(self, conn: Connection, state: MixedPrivacyModel) -> None:
        """Takes the rows out of the statistics; raises DecryptionError for all user data."""
        if self._everyone is Method.ZERO:
            state.erase_all_user_rows()
            return
        for opened in self._opened:
            state.erase(opened.psi, opened.labels)
        if self._everyone is None:
            return
        for block in samples.stream(conn, self._model.key, rows.ROWS_AT_ONCE):
            users = [row for row in block if row.retention is Retention.USER]
            rest = [row for row in users if row.key not in self._taken]
            opened = rows.unseal(rest, self._model, self._keys)
            state.erase(opened.psi, opened.labels)

    def delete(self, conn: Connection) -> None:
        """Deletes the rows, and their keys."""
        if self._everyone is not None:
            samples.erase_user_data(conn, self._model.key)
        elif self._taken:
            samples.erase(conn, self._model.key, sorted(self._taken))

    def _is_new(self, row: StoredSample) -> bool:
        return self._everyone is None and row.key not in self._taken

    def _open(self, new: Sequence[StoredSample]) -> int:
        self._opened.append(rows.unseal(new, self._model, self._keys))
        self._taken.update(row.key for row in new)
        return len(new)
