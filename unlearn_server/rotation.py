"""Hands the log over to a new signing key, which the old one endorses in the log itself.

The next key is written beside the old one before the log names it, and takes its place
after: whatever is interrupted between, ``finish`` puts right at the next start.
"""

import os
from pathlib import Path

from unlearn_server import signing
from unlearn_server.certifying import Certifier
from unlearn_server.failpoints import Failpoint, reach
from unlearn_server.journal import Journal
from unlearn_server.ledger import log
from unlearn_server.ledger.database import Database
from unlearn_server.log import envelopes


def rotate(database: Database, path: Path, journal: Journal) -> str:
    """Makes a new key that signs from now on, in place of the one in a file; answers its id.

    Raises:
        StartupError: if the old key cannot be read, or is not the log's.
    """
    finish(database, path)
    certifier = Certifier(signing.read_key(path, create=False), journal)
    following = signing.read_key(_next(path), create=True)
    reach(Failpoint.ROTATE_PREPARED)
    with database.write() as conn:
        certifier.open(conn, None)
        certifier.hand_over(conn, following)
        reach(Failpoint.ROTATE_STORED)
    reach(Failpoint.ROTATE_COMMITTED)
    finish(database, path)
    reach(Failpoint.ROTATE_REPLACED)
    return envelopes.key_id(following.public_key())


def finish(database: Database, path: Path) -> None:
    """Puts the next key in its place if the log has been handed over to it, or forgets it."""
    following = _next(path)
    if not following.exists():
        return
    key = signing.read_key(following, create=False)
    with database.read() as conn:
        is_in_force = log.keys(conn)[-1].public_key == key.public_key().public_bytes_raw()
    if is_in_force:
        os.replace(following, path)
    else:
        following.unlink()


def _next(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")
