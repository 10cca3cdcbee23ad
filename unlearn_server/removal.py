"""Takes the rows that requests name out of a model, each row once."""

from collections.abc import Sequence

from sqlalchemy import Connection

from unlearn_server import rows
from unlearn_server.domain import Erasure, Method, Model, Retention, SelectionKind, StoredSample
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import samples
from unlearning.forgetting import MixedPrivacyModel


class Removal:
    """What a batch of requests takes away: first from the statistics, then from the database.

    Attributes:
        counts: by erasure key, how many rows each request took; a row that several
            name is counted for the first.
        subjects: hashes of the subjects whose rows go.
    """

    def __init__(self, model: Model, state: MixedPrivacyModel, keys: KeyRing) -> None:
        self._model = model
        self._state = state
        self._keys = keys
        self._taken: set[int] = set()
        self._everyone = False
        self.counts: dict[int, int] = {}
        self.subjects: set[bytes] = set()

    @property
    def changes_anything(self) -> bool:
        """Whether a row goes at all."""
        return any(self.counts.values())

    def take(self, conn: Connection, erasure: Erasure) -> None:
        """Takes a request's rows out of the statistics; raises DecryptionError."""
        held = self._user_rows()
        self.subjects |= samples.subjects_matching(conn, self._model.key, erasure.selection)
        if erasure.method is Method.ZERO:
            self._everyone = True
            self._state.erase_all_user_rows()
        elif erasure.selection.kind is SelectionKind.ALL_USER_DATA:
            for block in samples.stream(conn, self._model.key, rows.ROWS_AT_ONCE):
                self._subtract([row for row in block if row.retention is Retention.USER])
            self._everyone = True
        else:
            selection = erasure.selection
            self._subtract(samples.matching(conn, self._model.key, selection, Retention.USER))
        self.counts[erasure.key] = held - self._user_rows()

    def delete(self, conn: Connection) -> None:
        """Deletes the rows taken, and their keys."""
        if self._everyone:
            samples.erase_user_data(conn, self._model.key)
        elif self._taken:
            samples.erase(conn, self._model.key, sorted(self._taken))

    def _subtract(self, named: Sequence[StoredSample]) -> None:
        new = [row for row in named if not self._everyone and row.key not in self._taken]
        for start in range(0, len(new), rows.ROWS_AT_ONCE):
            block = new[start : start + rows.ROWS_AT_ONCE]
            opened = rows.unseal(block, self._model, self._keys)
            self._state.erase(opened.psi, opened.labels)
            self._taken.update(row.key for row in block)

    def _user_rows(self) -> int:
        return self._state.everything.n - self._state.core.n
