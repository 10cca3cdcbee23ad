"""``unlearn-server fsck``: is what is stored sound?"""

import sys
from pathlib import Path

import click

from unlearn_server import fsck as checking
from unlearn_server.cli import options
from unlearn_server.cli.failures import ANSWER_IS_NO, told
from unlearn_server.data_directory import LOG
from unlearn_server.offline import taken


@click.command(context_settings={"show_default": True})
@options.data_dir
@options.database
@options.master_key
def fsck(data_dir: Path, database: str | None, master_key: str | None) -> None:
    """Check the log, its files, certificates, releases, keys and samples against each other.

    Stop the server first. Nothing is changed. Exits with 0 if all is sound, with 1 if something
    is not, and says what to do; with 2 if it cannot be checked.

    \b
    Example:
        unlearn-server fsck --data-dir ./data
    """
    with told(), taken(data_dir, database, master_key) as (held, keys):
        findings = list(checking.check(held, keys, data_dir / LOG))
    for finding in findings:
        click.echo(f"{finding.where}: {finding.problem}; {finding.remedy}")
    click.echo("sound" if not findings else f"{len(findings)} findings", err=True)
    sys.exit(ANSWER_IS_NO if findings else 0)
