"""Options that several commands take."""

from pathlib import Path

import click

data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    envvar="UNLEARN_DATA_DIR",
    show_envvar=True,
    help="Where samples, keys and releases are kept; serve makes it if it is not there.",
)

database = click.option(
    "--database",
    envvar="UNLEARN_DATABASE",
    show_envvar=True,
    help="A PostgreSQL database for all but the keys and the published log, such as "
    "postgresql://USER@HOST/NAME, its password in PGPASSFILE; by default SQLite in the data "
    "directory.",
)

master_key = click.option(
    "--master-key",
    metavar="SOURCE",
    envvar="UNLEARN_MASTER_KEY_SOURCE",
    show_envvar=True,
    help="Where the master key is: file:PATH; env:NAME, a variable with 32 random bytes in base64; "
    "or command:PROGRAM ARGUMENT..., which is told wrap or unwrap, and keeps it wrapped in the "
    "data directory. By default the file master.key there.",
)

signing_key = click.option(
    "--signing-key",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="UNLEARN_SIGNING_KEY_FILE",
    show_envvar=True,
    help="The Ed25519 key that signs certificates and the log, in PEM; by default signing.key in "
    "the data directory.",
)
