"""Exports the rows that the release of a model was made of, for ``unlearn-replay``.

The database is read in one transaction and left as it is, so a server may go on with it. Rows
are opened twice, first for their order and then to be written, so that few are in memory.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

from sqlalchemy import Connection

from unlearn_server import rows, weights
from unlearn_server.domain import Model, Release, StoredSample
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import models, releases, samples
from unlearn_server.ledger.database import Database
from unlearn_server.offline import opened
from unlearning.commitment import row_digest
from unlearning.multiset import canonical_rows
from unlearning.replay import exports
from unlearning.replay.exports import Block, Source

Progress = Callable[[int, int], None]
"""Told how many rows have been opened, and how many there are to open."""


def export(
    data_dir: Path,
    url: str | None,
    master_key: str | None,
    model_id: str,
    file: IO[bytes],
    progress: Progress,
) -> Source:
    """Writes an export of the release that a model serves.

    Raises:
        StartupError: if there is no database or key to read.
        ServiceError: MODEL_NOT_FOUND; RELEASE_NOT_FOUND if it serves none.
        DecryptionError: if a row is not what was stored.
    """
    with opened(data_dir, url, master_key) as (database, keys):
        return _export(database, keys, model_id, file, progress)


def _export(
    database: Database, keys: KeyRing, model_id: str, file: IO[bytes], progress: Progress
) -> Source:
    with database.read() as conn:
        model = models.get(conn, model_id)
        release = releases.serving(conn, model.key)
        secrets = weights.unseal(release, model, keys)
        if release is None or secrets is None:
            message = "MODEL: it serves no release to export; make one with unlearn release"
            raise ServiceError(Reason.RELEASE_NOT_FOUND, message)
        name = f"models/{model.model_id}"
        source = Source(name, release.number, secrets.salt, model.objective)
        reader = _Reader(conn, model, keys, progress, 2 * release.sample_count)
        blocks = reader.in_order(reader.order(release))
        exports.write(file, source, release.sample_count, blocks)
    return source


class _Reader:
    """Opens rows, and tells how far it is."""

    def __init__(
        self, conn: Connection, model: Model, keys: KeyRing, progress: Progress, total: int
    ) -> None:
        self._conn = conn
        self._model = model
        self._keys = keys
        self._progress = progress
        self._done, self._total = 0, total

    def order(self, release: Release) -> list[int]:
        """The keys of the rows of a release, by the digests of these.

        It was made of the oldest rows held: every erasure makes another, and those after them
        were added since.
        """
        digests, left = list[tuple[bytes, int]](), release.sample_count
        for stored in samples.stream(self._conn, self._model.key, rows.ROWS_AT_ONCE):
            ours = stored[:left]
            digests += zip(self._digests(ours), (row.key for row in ours), strict=True)
            left -= len(ours)
        return [key for _, key in sorted(digests)]

    def in_order(self, keys: Sequence[int]) -> Iterator[Block]:
        """The rows of these keys."""
        stored = samples.of_keys(self._conn, self._model.key, keys)
        while part := list(islice(stored, rows.ROWS_AT_ONCE)):
            yield self._open(part)

    def _digests(self, stored: Sequence[StoredSample]) -> list[bytes]:
        block = self._open(stored)
        return [*map(row_digest, canonical_rows(block.entries, block.labels, block.is_core))]

    def _open(self, stored: Sequence[StoredSample]) -> Block:
        opened = rows.unseal(stored, self._model, self._keys)
        self._done += len(stored)
        self._progress(self._done, self._total)
        return Block(opened.entries, opened.labels, opened.is_core)
