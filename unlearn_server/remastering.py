"""Puts a new master key in force, beside a server that goes on.

1. The next key is on disk, beside the old one. Who reads keys reads both.
2. The database knows it and calls it the one in force: what is sealed from now on is under it,
   since whoever seals asks the database, in the transaction that stores.
3. Every key that the old one wraps is wrapped by the next, some at a time.
4. The database forgets the old key; it refuses to as long as that wraps anything.
5. The next key takes the place of the old one, which is overwritten.

A crash leaves both keys where they are read, and the same command goes on from there.
"""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep

from unlearn_server import rows, weights
from unlearn_server.data_directory import rotating
from unlearn_server.domain import KeyKind
from unlearn_server.failpoints import Failpoint, reach
from unlearn_server.keys import KeyRing, key_id
from unlearn_server.ledger import key_ids, wrapped_keys
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.wrapped_keys import Holder, WrappedKey

Progress = Callable[[int, int], None]
"""Told how many keys are wrapped anew, and how many there were to wrap."""

_AT_ONCE = 1000

_IDENTITIES = {Holder.SAMPLES: rows.identity, Holder.RELEASES: weights.identity}


def rotate(database: Database, keys: KeyRing, data_dir: Path, progress: Progress) -> str:
    """Replaces the master key; answers the new one's id, in hexadecimal.

    Raises:
        StartupError: if it is being replaced by another process, or a key cannot be had.
        DecryptionError: if a wrapped key does not open; the old master key then stays.
    """
    with rotating(data_dir):
        in_force = key_id(keys.masters.following())
        reach(Failpoint.MASTER_PREPARED)
        with database.write() as conn:
            if in_force not in key_ids.masters(conn):
                key_ids.add(conn, KeyKind.MASTER, in_force)
        reach(Failpoint.MASTER_BEGUN)
        _Wrapping(database, keys, in_force, progress).run()
        reach(Failpoint.MASTER_WRAPPED)
        with database.write() as conn:
            key_ids.drop_others(conn, in_force)
        reach(Failpoint.MASTER_DROPPED)
        keys.masters.promote()
        reach(Failpoint.MASTER_REPLACED)
    return in_force.hex()


class _Wrapping:
    """Wraps what is not under the key in force."""

    def __init__(
        self, database: Database, keys: KeyRing, in_force: bytes, progress: Progress
    ) -> None:
        self._database = database
        self._keys = keys
        self._in_force = in_force
        self._progress = progress
        with database.read() as conn:
            self._total = sum(wrapped_keys.count(conn, each, in_force) for each in Holder)
        self._done = 0

    def run(self) -> None:
        for holder in Holder:
            after = 0
            while found := self._page(holder, after):
                started = perf_counter()
                self._change(holder, found)
                after = found[-1].owner_key
                sleep(perf_counter() - started)  # the server's turn

    def _page(self, holder: Holder, after: int) -> list[WrappedKey]:
        with self._database.read() as conn:
            return wrapped_keys.page(conn, holder, self._in_force, after, _AT_ONCE)

    def _change(self, holder: Holder, found: list[WrappedKey]) -> None:
        wrapped = [(each.owner_key, self._wrap(holder, each)) for each in found]
        with self._database.write() as conn:
            wrapped_keys.change(conn, holder, self._in_force, wrapped)
            reach(Failpoint.MASTER_STORED)
        reach(Failpoint.MASTER_COMMITTED)
        self._done += len(found)
        self._progress(self._done, self._total)

    def _wrap(self, holder: Holder, each: WrappedKey) -> bytes:
        identity = _IDENTITIES[holder](each.model_id, each.own)
        return self._keys.rewrap(each.wrapped_key, identity, each.master_id, self._in_force)
