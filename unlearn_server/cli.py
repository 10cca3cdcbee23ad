"""The command ``unlearn-server``."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from unlearn_server.app import Options
from unlearn_server.app import serve as run
from unlearn_server.errors import ServerError, StartupError
from unlearn_server.experiment import Experiment, carry_out
from unlearn_server.logs import configure_logs
from unlearning.errors import UnlearningError
from unlearning.readouts.result import ReadOut, ReadOuts
from unlearning.readouts.run import Progress

_REFUTED = 1
_CANNOT = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="unlearn-server")
def main() -> None:
    """Machine unlearning that can be proven."""


_data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    envvar="UNLEARN_DATA_DIR",
    show_envvar=True,
    help="Where samples, keys and releases are kept; serve makes it if it is not there.",
)


@main.command(context_settings={"show_default": True})
@_data_dir
@click.option(
    "--address",
    default="localhost:50051",
    envvar="UNLEARN_ADDRESS",
    show_envvar=True,
    help="HOST:PORT to answer gRPC at.",
)
@click.option(
    "--metrics-address",
    default="localhost:9464",
    envvar="UNLEARN_METRICS_ADDRESS",
    show_envvar=True,
    help="HOST:PORT to answer Prometheus at, under /metrics.",
)
def serve(data_dir: Path, address: str, metrics_address: str) -> None:
    r"""Serve until SIGTERM, then drain.

    Keys that are missing are generated into the data directory, readable by you alone.

    \b
    Example:
        unlearn-server serve --data-dir ./data
    """
    configure_logs()
    try:
        run(Options(data_dir, address, metrics_address))
    except StartupError as error:
        click.echo(f"unlearn-server: {error}", err=True)
        sys.exit(1)


@main.command(context_settings={"show_default": True})
@click.argument("model")
@_data_dir
@click.option(
    "--erase", "subjects", multiple=True, required=True, help="A person to forget; may be repeated."
)
@click.option(
    "--shadows",
    default=100,
    type=click.IntRange(min=3),
    help="Worlds that attacks learn from, of three models each.",
)
@click.option(
    "--pairs",
    default=256,
    type=click.IntRange(min=8),
    help="Worlds that attacks are tried in, of two models each.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document, no table.")
def readouts(
    model: str, data_dir: Path, subjects: tuple[str, ...], shadows: int, pairs: int, as_json: bool
) -> None:
    r"""Try to refute that MODEL forgets people, on a copy of its samples in memory.

    Nothing that is stored changes, and a server may go on meanwhile. Exits with 0 if every
    read-out is what retraining and the bound permit, with 1 if one is not, with 2 if it cannot be
    tried.

    \b
    Example:
        unlearn-server readouts pets --data-dir ./data --erase alice --erase bob
    """
    experiment = Experiment(model, subjects, shadows, pairs)
    try:
        with _progress() as progress:
            found = carry_out(data_dir, experiment, progress)
    except (ServerError, UnlearningError) as error:
        click.echo(f"unlearn-server: {error}", err=True)
        sys.exit(_CANNOT)
    if as_json:
        click.echo(json.dumps(found.to_json()))
    else:
        Console().print(_table(found))
    sys.exit(0 if found.passed else _REFUTED)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on the terminal, gone once all models are trained; none elsewhere."""
    console = Console(stderr=True)
    columns = TextColumn("models"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    hidden = not console.is_terminal
    with Bar(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("models", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _table(found: ReadOuts) -> Table:
    title = f"{found.erased} erased, {found.retained} retained, {found.test} test samples"
    table = Table("read-out", "measured", "permitted", "finding", title=title)
    for one in (*found.comparisons, *found.attacks):
        table.add_row(*_row(one))
    return table


def _row(one: ReadOut) -> tuple[str, str, str, str]:
    measured, permitted = (
        f"{interval.value:.3g} ({interval.low:.3g} to {interval.high:.3g})"
        for interval in (one.measured, one.permitted)
    )
    return one.name, measured, permitted, one.finding.value
