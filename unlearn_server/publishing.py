"""Publishes the log as static files, for strangers to read and to mirror.

    checkpoint, tile/...    as c2sp.org/tlog-tiles has them
    keys.json               every key the log was signed with, and who endorsed it

They are made from the database, after the commit, and made again where they are missing. The
checkpoint comes last and takes the place of the old one in one step, so that whoever reads it
finds the tiles under it. Partial tiles go once the full one is there.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import structlog
from sqlalchemy import Connection

from unlearn_server.announcements import Announcements
from unlearn_server.errors import StartupError
from unlearn_server.failpoints import Failpoint, reach
from unlearn_server.ledger import log
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.log import Head, LoggedKey
from unlearn_server.log import merkle, notes, tiles
from unlearn_server.signing import public_pem
from unlearning import background

CHECKPOINT = "checkpoint"
KEYS = "keys.json"

_LOOK_AGAIN_SECONDS = 30.0
_PAUSE_SECONDS = 0.5
"""Between two publications: many erasures make one."""

_log = structlog.get_logger(__name__)


Cosigned = Callable[[Head], str]
"""The checkpoint of a head, with the lines of the witnesses that sign it now."""


Shown = Callable[[Connection], None]
"""Told of the database as it stands before that is published."""


def _as_it_is(head: Head) -> str:
    return head.checkpoint


class Publisher:
    """Keeps a folder of files in step with the log until stopped."""

    def __init__(
        self,
        database: Database,
        directory: Path,
        changes: Announcements,
        shown: Shown,
        cosigned: Cosigned = _as_it_is,
    ) -> None:
        """Takes the folder, which is made if it is not there, and who asks witnesses."""
        self._shown = shown
        self._database = database
        self._directory = directory
        self._changes = changes
        self._cosigned = cosigned
        self._published: int | None = None
        self._checkpoint = ""
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="publisher")

    def check(self) -> None:
        """Raises StartupError if what is published is not how this log began."""
        try:
            size, root = notes.tree_of((self._directory / CHECKPOINT).read_text())
        except FileNotFoundError:
            return
        except (ValueError, OSError) as error:
            message = f"cannot be read; move {self._directory} away, and it is made again"
            raise StartupError(f"{CHECKPOINT}: {message}") from error
        with self._database.read() as conn:
            head = log.head(conn)
            known = size <= head.frontier.size
            if known and merkle.frontier(size, log.nodes_of(conn)).root == root:
                return
        raise StartupError(
            f"the database: knows {head.frontier.size} certificates, and {size} others are "
            f"published in {self._directory}; to go on would show two histories. Restore the "
            "newest database"
        )

    def start(self) -> None:
        """Publishes what is there, then what comes; StartupError where nothing can be written."""
        try:
            self.publish()
        except OSError as error:
            message = f"{self._directory}: cannot be written: {error.strerror}; the log goes there"
            raise StartupError(message) from error
        self._thread.start()

    def stop(self) -> None:
        """Publishes what there is, and returns."""
        self._stopping.set()
        self._changes.ring()
        self._thread.join()

    def publish(self) -> None:
        """Brings the files up to the log as it stands; the first time, all that are missing."""
        self._publish(_as_it_is)

    def _publish(self, cosigned: Cosigned) -> None:
        with self._database.read() as conn:
            head = log.head(conn)
            self._shown(conn)
            if self._published != head.frontier.size:
                self._write_tiles(conn, head)
        self._published = head.frontier.size
        # Witnesses are asked before: where they answer, nobody sees a checkpoint without them.
        checkpoint = cosigned(head)
        if checkpoint != self._checkpoint:
            _write(self._directory / CHECKPOINT, checkpoint.encode())
            reach(Failpoint.PUBLISH_CHECKPOINT)
            self._checkpoint = checkpoint

    def _write_tiles(self, conn: Connection, head: Head) -> None:
        reach(Failpoint.PUBLISH_BEGUN)
        for path, content in files(conn, head, self._published or 0):
            file = self._directory / path
            if self._published is not None or not file.exists():
                _write(file, content())
                shutil.rmtree(file.with_name(f"{file.name}.p"), ignore_errors=True)
        _write(self._directory / KEYS, keys_json(conn, head))
        reach(Failpoint.PUBLISH_TILES)

    def _run(self) -> None:
        background.give_way()
        while not self._stopping.is_set():
            heard = self._changes.rings
            self._try_to_publish(self._cosigned)
            self._stopping.wait(_PAUSE_SECONDS)
            self._changes.wait(heard, _LOOK_AGAIN_SECONDS)
        self._try_to_publish(_as_it_is)

    def _try_to_publish(self, cosigned: Cosigned) -> None:
        try:
            self._publish(cosigned)
        except Exception:
            _log.exception("the log could not be published and will be tried again")


def files(conn: Connection, head: Head, old: int) -> Iterator[tuple[str, Any]]:
    """Path and a function that makes the content, of each tile since a size of the log."""
    nodes, size = log.nodes_of(conn), head.frontier.size
    for bundle in tiles.entry_bundles(old, size):
        yield (
            bundle.path,
            lambda bundle=bundle: tiles.bundled(
                [leaf.entry for leaf in log.leaves(conn, bundle.leaves)]
            ),
        )
    for tile in tiles.hash_tiles(old, size):
        yield tile.path, lambda tile=tile: tile.content(nodes)


def keys_json(conn: Connection, head: Head) -> bytes:
    """The log's keys, the oldest first."""
    described = [_described(head.origin, key) for key in log.keys(conn)]
    return json.dumps({"origin": head.origin, "keys": described}, indent=1).encode()


def _described(origin: str, key: LoggedKey) -> dict[str, Any]:
    return {
        "publicKey": public_pem(key.verifying),
        "verifierKey": str(key.verifier_key(origin)),
        "firstIndex": key.first_index,
        "endorsement": json.loads(key.endorsement) if key.endorsement else None,
    }


def _write(path: Path, content: bytes) -> None:
    """Replaces a file in one step; what a power cut leaves is the old one or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    reach(Failpoint.PUBLISH_WRITTEN)
    os.replace(unfinished, path)
    reach(Failpoint.PUBLISH_REPLACED)
