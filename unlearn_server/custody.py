"""Tells at a start whether the secrets at hand are those that the database was written with.

A new database notes their ids. What an older version wrote is taken over, once a sample has
shown that the secrets are right.
"""

from sqlalchemy import Connection

from unlearn_server import rows, weights
from unlearn_server.domain import KeyKind
from unlearn_server.errors import DecryptionError, StartupError
from unlearn_server.keys import HASHING_FILE, KeyRing
from unlearn_server.ledger import adoption, key_ids, models, samples


def begin(conn: Connection, keys: KeyRing) -> None:
    """Notes the secrets' ids where that was not done yet.

    Raises:
        StartupError: if what an older version wrote does not open; the transaction must not commit.
    """
    if key_ids.hashing(conn) is not None:
        return
    key_ids.add(conn, KeyKind.HASHING, keys.hashing_id)
    master_id = keys.master_ids[0]
    key_ids.add(conn, KeyKind.MASTER, master_id)
    adoption.adopt_samples(conn, master_id)
    for release in adoption.clear_releases(conn):
        own = weights.identity(release.model_id, release.commitment)
        adoption.adopt_release(conn, release, keys.seal(release.payload, own, master_id))
    adoption.conceal_salts(conn, keys.conceal)
    key_ids.drop_others(conn, master_id)
    _try_one(conn, keys)


def check(conn: Connection, keys: KeyRing) -> None:
    """Compares the secrets at hand with those noted.

    Raises:
        StartupError: if one is another, or missing; it says how much does not open without it.
    """
    hashing = key_ids.hashing(conn)
    if hashing is None:
        raise StartupError("the database: does not know its keys yet; start the server once")
    if hashing != keys.hashing_id:
        raise StartupError(_ANOTHER_HASHING)
    unopened = key_ids.unopened(conn, keys.master_ids)
    if unopened or key_ids.masters(conn)[-1] not in keys.master_ids:
        raise StartupError(_another_master(keys, unopened))


_ANOTHER_HASHING = (
    f"{HASHING_FILE}: is not the secret that ids were hashed with, so no request would find its "
    "samples; restore it from a backup"
)


def _another_master(keys: KeyRing, unopened: dict[str, tuple[int, int]]) -> str:
    counts = "; ".join(
        f"models/{model_id}: {held} samples{' and the release' * served} do not open"
        for model_id, (held, served) in unopened.items()
    )
    words = "is not the master key in use; restore that one from a backup"
    return f"{keys.masters.name}: {words}" + (f" ({counts})" if counts else "")


def _try_one(conn: Connection, keys: KeyRing) -> None:
    """Opens the first sample of some model."""
    for model in models.page(conn, 0, 1000):
        for stored in samples.stream(conn, model.key, 1):
            try:
                [own_id] = rows.unseal(stored, model, keys).ids
            except DecryptionError as error:
                message = _another_master(keys, key_ids.unopened(conn, ()))
                raise StartupError(message) from error
            if keys.hash_sample(own_id) != stored[0].sample_hash:
                raise StartupError(_ANOTHER_HASHING)
            return
