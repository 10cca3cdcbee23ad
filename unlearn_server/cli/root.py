"""The command's root, and its commands."""

import click

from unlearn_server.cli.backup import backup, restore
from unlearn_server.cli.core import core
from unlearn_server.cli.export import export
from unlearn_server.cli.fsck import fsck
from unlearn_server.cli.keys import keys
from unlearn_server.cli.readouts import readouts
from unlearn_server.cli.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="unlearn-server")
def main() -> None:
    """Machine unlearning that can be proven."""


for command in (serve, export, readouts, fsck, keys, core, backup, restore):
    main.add_command(command)
