"""The command ``unlearn-server``."""

import sys
from pathlib import Path

import click

from unlearn_server.app import Options
from unlearn_server.app import serve as run
from unlearn_server.errors import StartupError
from unlearn_server.logs import configure_logs


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="unlearn-server")
def main() -> None:
    """Machine unlearning that can be proven."""


@main.command(context_settings={"show_default": True})
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    envvar="UNLEARN_DATA_DIR",
    show_envvar=True,
    help="Where samples, keys and releases are kept; made if it is not there.",
)
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
