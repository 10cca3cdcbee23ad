"""``unlearn-server export``: the rows of a release, for an auditor who recomputes it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from unlearn_server import exporting
from unlearn_server.cli import options
from unlearn_server.cli.failures import told
from unlearn_server.cli.progress import bar


@click.command(context_settings={"show_default": True})
@click.argument("model")
@options.data_dir
@options.database
@options.master_key
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The file to make (.npz), readable by you alone; none may be there.",
)
def export(
    model: str, data_dir: Path, database: str | None, master_key: str | None, out: Path
) -> None:
    """Write the rows that MODEL's release was made of, without ids, for unlearn-replay.

    Nothing that is stored changes, and a server may go on meanwhile. The file is a copy of
    personal data, which later erasures do not reach: delete it once it has been replayed. It holds
    the salt of the release, so that its commitments can be recomputed.

    \b
    Example:
        unlearn-server export pets --data-dir ./data --out pets.npz
    """
    with told(), _made(out) as file, bar("rows, each twice") as progress:
        source = exporting.export(data_dir, database, master_key, model, file, progress)
    click.echo(f"{source.name} is in {out}")


@contextmanager
def _made(path: Path) -> Iterator[IO[bytes]]:
    """A new file for its owner only, gone again if what follows fails."""
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            try:
                yield file
            except BaseException:
                path.unlink()
                raise
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}", param_hint="--out") from error
