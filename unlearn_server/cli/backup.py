"""``unlearn-server backup`` and ``restore``."""

import os
from pathlib import Path

import click

from unlearn_server import failpoints
from unlearn_server.backups import files, making, restoring
from unlearn_server.backups.sources import Sources
from unlearn_server.cli import options
from unlearn_server.cli.failures import told
from unlearn_server.cli.progress import bar
from unlearn_server.offline import opened
from unlearn_server.signing import SIGNING_FILE


@click.command(context_settings={"show_default": True})
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@options.data_dir
@options.database
@options.master_key
@options.signing_key
def backup(
    folder: Path,
    data_dir: Path,
    database: str | None,
    master_key: str | None,
    signing_key: Path | None,
) -> None:
    """Back up to DIR, which is made, beside a server that goes on.

    DIR/data holds all that is stored but the keys; DIR/keys holds these, and the server's own,
    wrapped by the master key, which is in neither. An erasure cannot reach a backup: as long as
    keys, data and master key are all there, they open what was erased since. So keep DIR/keys
    apart and for a short time, such as 30 days, and copy journal/erasures in the data directory to
    another machine all the time: without it no backup can be restored.

    \b
    Example:
        unlearn-server backup ./backup --data-dir ./data
    """
    reached = opened(data_dir, database, master_key)
    with told(), reached as (held, keys), bar("rows") as progress:
        failpoints.arm(os.environ)
        signing = signing_key or data_dir / SIGNING_FILE
        making.backup(held, keys, data_dir, signing, folder, progress)
    click.echo(f"{folder} is complete; keep {folder / files.KEYS} apart, and for a short time")


@click.command(context_settings={"show_default": True})
@click.argument("folder", metavar="BACKUP", type=click.Path(path_type=Path))
@options.data_dir
@options.database
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The newest copy of journal/erasures, which knows of the erasures made since.",
)
@click.option(
    "--keys",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file of the backup's keys; by default BACKUP/keys.",
)
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The newest checkpoint of the log that anybody has, such as log/checkpoint or that of a "
    "mirror, a witness or a monitor: a journal that does not reach it is refused.",
)
@options.master_key
@options.signing_key
def restore(
    folder: Path,
    data_dir: Path,
    database: str | None,
    journal: Path,
    keys: Path | None,
    checkpoint: Path | None,
    master_key: str | None,
    signing_key: Path | None,
) -> None:
    """Make a server of BACKUP that goes on with the same log, without whoever was erased since.

    The data directory must hold nothing but cores that were added and master.key, not even that
    where --master-key names another place; a PostgreSQL database must be empty. Every erasure in
    the journal is carried out before anything is served, and releases are made of what remains.
    Requests that were open wait for their operator: they may have been withdrawn since. Give a
    checkpoint if you can: of a journal whose end is missing nothing else tells.

    \b
    Example:
        mkdir -m 700 ./new && cp /safe/master.key ./new/
        unlearn-server restore ./backup --data-dir ./new \\
          --journal /mirror/erasures --checkpoint /mirror/checkpoint
        unlearn-server fsck --data-dir ./new
    """
    sources = Sources(
        folder, keys or folder / files.KEYS, journal, checkpoint, signing_key, master_key
    )
    with told(), bar("rows") as progress:
        failpoints.arm(os.environ)
        history = restoring.restore(sources, data_dir, database, progress)
    click.echo(
        f"restored; certificates in the log: {history.tree.size}, of which made after the backup: "
        f"{len(history.leaves)}"
    )
