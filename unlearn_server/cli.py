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

from unlearn_server import fsck, rotation
from unlearn_server.announcements import Announcements
from unlearn_server.app import Options
from unlearn_server.app import serve as run
from unlearn_server.data_directory import LOG, locked
from unlearn_server.errors import ServerError, StartupError
from unlearn_server.experiment import Experiment, carry_out
from unlearn_server.logs import configure_logs
from unlearn_server.offline import opened
from unlearn_server.publishing import Publisher
from unlearn_server.signing import SIGNING_FILE
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


_signing_key = click.option(
    "--signing-key",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="UNLEARN_SIGNING_KEY_FILE",
    show_envvar=True,
    help="The Ed25519 key that signs certificates and the log, in PEM; by default signing.key in "
    "the data directory.",
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
    help="HOST:PORT to answer Prometheus at, under /metrics, and to show the log at, under /log.",
)
@_signing_key
@click.option(
    "--log-origin",
    envvar="UNLEARN_LOG_ORIGIN",
    show_envvar=True,
    help="What the log is called for good, such as privacy.example.com/unlearning; said once, "
    "when it begins. By default a name made of its key.",
)
def serve(
    data_dir: Path,
    address: str,
    metrics_address: str,
    signing_key: Path | None,
    log_origin: str | None,
) -> None:
    r"""Serve until SIGTERM, then drain.

    Keys that are missing are generated into the data directory, readable by you alone, when it
    is new. UNLEARN_SIGNING_KEY may hold the signing key itself, in PEM.

    \b
    Example:
        unlearn-server serve --data-dir ./data
    """
    configure_logs()
    try:
        run(Options(data_dir, address, metrics_address, signing_key, log_origin))
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


@main.command("fsck")
@_data_dir
def check(data_dir: Path) -> None:
    r"""Check the log, its files, certificates, releases, keys and samples against each other.

    Stop the server first. Nothing is changed. Exits with 0 if all is sound, with 1 if something
    is not, and says what to do; with 2 if it cannot be checked.

    \b
    Example:
        unlearn-server fsck --data-dir ./data
    """
    try:
        with locked(data_dir, create=False), opened(data_dir) as (database, keys):
            findings = list(fsck.check(database, keys, data_dir / LOG))
    except (ServerError, UnlearningError) as error:
        click.echo(f"unlearn-server: {error}", err=True)
        sys.exit(_CANNOT)
    for finding in findings:
        click.echo(f"{finding.where}: {finding.problem}; {finding.remedy}")
    click.echo("sound" if not findings else f"{len(findings)} findings", err=True)
    sys.exit(1 if findings else 0)


@main.group()
def keys() -> None:
    """The key that signs certificates and the log."""


@keys.command()
@_data_dir
@_signing_key
def rotate(data_dir: Path, signing_key: Path | None) -> None:
    r"""Make a new signing key in place of the old one, which endorses it in the log.

    Stop the server first. Certificates of the old key stay valid: the log tells which key signed
    when. The old key is gone afterwards; where yours is given in the environment, put it into a
    file, name that as --signing-key, and take the new one from there.

    \b
    Example:
        unlearn-server keys rotate --data-dir ./data
    """
    try:
        with locked(data_dir, create=False), opened(data_dir) as (database, _):
            publisher = Publisher(database, data_dir / LOG, Announcements())
            publisher.check()
            key_id = rotation.rotate(database, signing_key or data_dir / SIGNING_FILE)
            publisher.publish()
    except ServerError as error:
        click.echo(f"unlearn-server: {error}", err=True)
        sys.exit(_CANNOT)
    click.echo(f"the key in force is {key_id}")


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
