"""Erasures, additions and predictions as fast as they go, for as long as one likes; then the check.

python -m tests.faults.hammer --minutes 60 --clients 16
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import click
from rich.console import Console

from tests.faults.callers import Caller
from tests.faults.checker import Checker
from tests.faults.load import load
from tests.faults.servers import Servers
from tests.faults.told import Told

console = Console(stderr=True)


@click.command()
@click.option("--minutes", default=1.0, show_default=True, help="How long.")
@click.option("--clients", default=16, show_default=True, help="How many at a time.")
@click.option("--seed", default=0, show_default=True, help="Of what they do.")
@click.option("--serve", "options", multiple=True, help="What to tell the server besides.")
def main(minutes: float, clients: int, seed: int, options: Sequence[str]) -> None:
    """Hammers a server of its own; exits with 1 if anything does not agree."""
    with TemporaryDirectory() as folder:
        servers, told = Servers(Path(folder), options), Told()
        log = servers.data_dir / "log"
        with servers.up():
            Caller(servers.address, told, Random(seed)).found()
            stop = load(servers.address, told, log, seed, clients)
            _watch(told, minutes)
            stop()
            console.print("checking")
            checked = Checker(servers.address, told, log).check()
        found = [*checked.mismatches, *filter(None, [servers.fsck()])]
    click.echo(
        f"{told.calls} calls, {told.predictions} of them predictions; {told.refused} refused with "
        f"a time to come again; {checked}"
    )
    for each in found:
        click.echo(each)
    sys.exit(1 if found else 0)


def _watch(told: Told, minutes: float) -> None:
    """Says how it goes, until the time is over or something is wrong."""
    ends = monotonic() + 60 * minutes
    with console.status("") as status:
        while (left := ends - monotonic()) > 0 and not told.violations:
            status.update(
                f"{left:.0f} s left: {told.calls} calls, {len(told.asked)} requests to forget, "
                f"{told.refused} refusals"
            )
            sleep(min(left, 1.0))


if __name__ == "__main__":
    main()
