"""Named places where a test may kill the server, hold it up or make it fail.

UNLEARN_FAILPOINTS arms them: ``NAME=ACTION[@COUNT]``, several with commas between. An action is
``kill`` (SIGKILL to itself, as a power cut), ``stop`` (SIGSTOP, until somebody sends SIGCONT),
``raise`` or ``sleep:SECONDS``. With a count it
happens when the place is reached for that time, without one whenever it is. One that is not
armed costs a look at an empty dictionary.

    UNLEARN_FAILPOINTS=erase.stored=kill@3,publish.tiles=sleep:0.1 unlearn-server serve
"""

import signal
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from threading import Lock
from time import sleep

import structlog

from unlearn_server.errors import ServerError, StartupError

ENVIRONMENT = "UNLEARN_FAILPOINTS"


class Failpoint(StrEnum):
    """Every place, in the order in which a request comes by; then those of commands.

    "Stored" is inside the transaction, its last statement done; "committed" is after it.
    """

    START_DATABASE = "start.database"  # the tables are there
    START_KEYS = "start.keys"  # and the key files
    START_KEY_IDS = "start.key-ids"  # noted in the database
    START_SIGNING_KEY = "start.signing-key"  # and the signing key, which no log knows yet
    START_LOG = "start.log"  # the log has begun

    INGEST_STORED = "ingest.stored"
    INGEST_COMMITTED = "ingest.committed"  # not yet in the model's statistics
    RELEASE_SOLVED = "release.solved"
    RELEASE_STORED = "release.stored"
    RELEASE_COMMITTED = "release.committed"  # not yet served

    ACCEPT_STORED = "accept.stored"
    ACCEPT_COMMITTED = "accept.committed"  # neither the eraser nor the caller knows
    MOVE_STORED = "move.stored"  # of a request that is withdrawn or tried again
    MOVE_COMMITTED = "move.committed"

    ERASE_FOUND = "erase.found"  # rows are opened
    ERASE_SUBTRACTED = "erase.subtracted"  # from the statistics, which are in memory
    ERASE_SOLVED = "erase.solved"
    ERASE_DELETED = "erase.deleted"  # rows and their keys, in the transaction
    ERASE_RELEASED = "erase.released"  # the new release is in, the old one's weights are out
    CERTIFY_SIGNED = "certify.signed"  # certificates and checkpoint
    CERTIFY_APPENDED = "certify.appended"  # to the log, in the same transaction
    ERASE_STORED = "erase.stored"  # outcomes too
    ERASE_COMMITTED = "erase.committed"  # not yet served
    ERASE_SERVED = "erase.served"  # nobody is told yet

    PUBLISH_BEGUN = "publish.begun"
    PUBLISH_WRITTEN = "publish.written"  # a file is on disk under another name
    PUBLISH_REPLACED = "publish.replaced"  # and has the place of the old one
    PUBLISH_TILES = "publish.tiles"  # all files but the checkpoint
    PUBLISH_CHECKPOINT = "publish.checkpoint"

    SHRED_BEGUN = "shred.begun"  # erased rows are still in what the database keeps beside them
    SHRED_DONE = "shred.done"

    ROTATE_PREPARED = "rotate.prepared"  # the next key is on disk, which no log knows yet
    ROTATE_STORED = "rotate.stored"
    ROTATE_COMMITTED = "rotate.committed"  # the key in force is not yet in its place
    ROTATE_REPLACED = "rotate.replaced"  # it is; nothing is published

    MASTER_PREPARED = "master.prepared"  # the next master key is on disk, which nothing knows yet
    MASTER_BEGUN = "master.begun"  # it wraps what is new
    MASTER_STORED = "master.stored"  # some keys are wrapped anew, in the transaction
    MASTER_COMMITTED = "master.committed"
    MASTER_WRAPPED = "master.wrapped"  # all are
    MASTER_DROPPED = "master.dropped"  # the database knows the old key no more
    MASTER_OVERWRITTEN = "master.overwritten"  # where that is in a file
    MASTER_REPLACED = "master.replaced"

    BACKUP_DATA = "backup.data"  # that file is written, under another name
    BACKUP_KEYS = "backup.keys"  # the keys too
    BACKUP_MANIFEST = "backup.manifest"  # all of it is on disk
    BACKUP_RENAMED = "backup.renamed"

    RESTORE_JOINED = "restore.joined"  # data and keys are one database again
    RESTORE_REPLAYED = "restore.replayed"  # the journal is replayed
    RESTORE_RELEASED = "restore.released"  # releases are made of what remains
    RESTORE_COPIED = "restore.copied"  # to PostgreSQL, if that is asked for
    RESTORE_MOVED = "restore.moved"  # a file is in its place; the database comes last


class FailpointError(ServerError):
    """Raised where a failpoint says so."""


_log = structlog.get_logger(__name__)
_armed: dict[Failpoint, "_Armed"] = {}


class _Armed:
    """What happens at a place, and when; ``at`` 0 is each time."""

    def __init__(self, action: Callable[[], None], at: int) -> None:
        self._action = action
        self._at = at
        self._reached = 0
        self._lock = Lock()

    def reached(self, point: Failpoint) -> None:
        with self._lock:
            self._reached += 1
            count = self._reached
        if self._at in {0, count}:
            _log.warning("failpoint", point=point.value, count=count)
            self._action()


def reach(point: Failpoint) -> None:
    """Does what the place is armed with; nothing, as a rule."""
    if _armed and point in _armed:
        _armed[point].reached(point)


def arm(environment: Mapping[str, str]) -> None:
    """Arms what the environment says, in place of what was armed.

    Raises:
        StartupError: if that cannot be read.
    """
    _armed.clear()
    for each in filter(None, environment.get(ENVIRONMENT, "").split(",")):
        try:
            point, armed = _parse(each)
        except ValueError as error:
            message = (
                "cannot be read; write NAME=kill, stop, raise or sleep:SECONDS, then @COUNT or not"
            )
            raise StartupError(f"{ENVIRONMENT}: {each} {message}") from error
        _armed[point] = armed


def _parse(text: str) -> tuple[Failpoint, _Armed]:
    name, _, rest = text.partition("=")
    action, _, count = rest.partition("@")
    return Failpoint(name), _Armed(_action(action), int(count or 0))


def _action(text: str) -> Callable[[], None]:
    kind, _, seconds = text.partition(":")
    if kind == "sleep":
        return partial(sleep, float(seconds))
    if text in _ACTIONS:
        return _ACTIONS[text]
    raise ValueError(text)


def _raise() -> None:
    raise FailpointError("a failpoint was reached")


_ACTIONS: dict[str, Callable[[], None]] = {
    "kill": partial(signal.raise_signal, signal.SIGKILL),
    "stop": partial(signal.raise_signal, signal.SIGSTOP),
    "raise": _raise,
}
