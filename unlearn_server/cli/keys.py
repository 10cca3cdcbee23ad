"""``unlearn-server keys``: the key that signs."""

import os
from pathlib import Path

import click

from unlearn_server import failpoints, rotation
from unlearn_server.announcements import Announcements
from unlearn_server.cli import options
from unlearn_server.cli.failures import told
from unlearn_server.data_directory import JOURNAL, LOG
from unlearn_server.journal import Journal
from unlearn_server.offline import taken
from unlearn_server.publishing import Publisher
from unlearn_server.signing import SIGNING_FILE


@click.group()
def keys() -> None:
    """The key that signs certificates and the log."""


@keys.command()
@options.data_dir
@options.database
@options.signing_key
def rotate(data_dir: Path, database: str | None, signing_key: Path | None) -> None:
    """Make a new signing key in place of the old one, which endorses it in the log.

    Stop the server first. Certificates of the old key stay valid: the log tells which key signed
    when. The old key is gone afterwards; where yours is given in the environment, put it into a
    file, name that as --signing-key, and take the new one from there.

    \b
    Example:
        unlearn-server keys rotate --data-dir ./data
    """
    with told(), taken(data_dir, database) as (held, ring):
        failpoints.arm(os.environ)
        journal = Journal(data_dir / JOURNAL, ring)
        publisher = Publisher(held, data_dir / LOG, Announcements(), journal.show)
        publisher.check()
        key_id = rotation.rotate(held, signing_key or data_dir / SIGNING_FILE, journal)
        publisher.publish()
    click.echo(f"the key in force is {key_id}")
