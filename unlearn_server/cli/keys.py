"""``unlearn-server keys``: the key that signs, and the one that wraps all others."""

import os
from pathlib import Path

import click

from unlearn_server import failpoints, master_keys, remastering, rotation
from unlearn_server.announcements import Announcements
from unlearn_server.cli import options
from unlearn_server.cli.failures import told
from unlearn_server.cli.progress import bar
from unlearn_server.data_directory import LOG
from unlearn_server.offline import opened, taken
from unlearn_server.publishing import Publisher
from unlearn_server.signing import SIGNING_FILE


@click.group()
def keys() -> None:
    """The key that signs certificates and the log, and the master key."""


@keys.command()
@options.data_dir
@options.database
@options.master_key
@options.signing_key
def rotate(
    data_dir: Path, database: str | None, master_key: str | None, signing_key: Path | None
) -> None:
    """Make a new signing key in place of the old one, which endorses it in the log.

    Stop the server first. Certificates of the old key stay valid: the log tells which key signed
    when. The old key is gone afterwards; where yours is given in the environment, put it into a
    file, name that as --signing-key, and take the new one from there.

    \b
    Example:
        unlearn-server keys rotate --data-dir ./data
    """
    with told(), taken(data_dir, database, master_key) as (held, _):
        failpoints.arm(os.environ)
        publisher = Publisher(held, data_dir / LOG, Announcements())
        publisher.check()
        key_id = rotation.rotate(held, signing_key or data_dir / SIGNING_FILE)
        publisher.publish()
    click.echo(f"the key in force is {key_id}")


@keys.command("rotate-master")
@options.data_dir
@options.database
@options.master_key
def rotate_master(data_dir: Path, database: str | None, master_key: str | None) -> None:
    """Make a new master key, which wraps all keys in place of the old one; then drop that.

    A server may go on meanwhile. If this is interrupted, run it again. What was wrapped by the old
    key alone, in backups, in PostgreSQL's files and its log, opens no more once that key and its
    copies are gone. Of a master key in the environment, NAME, put the new one into NAME_NEXT, and
    stop the server first; afterwards it goes into NAME.

    \b
    Example:
        unlearn-server keys rotate-master --data-dir ./data
    """
    with told():
        failpoints.arm(os.environ)
        seen = master_keys.source(master_key, data_dir).is_seen_at_once
        reaching = opened if seen else taken
        with reaching(data_dir, database, master_key) as (held, ring), bar("keys") as progress:
            key_id = remastering.rotate(held, ring, data_dir, progress)
    click.echo(f"the master key in force is {key_id}")
