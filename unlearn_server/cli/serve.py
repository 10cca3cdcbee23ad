"""``unlearn-server serve``: the service itself."""

import os
from pathlib import Path

import click

from unlearn_server import failpoints
from unlearn_server.app import Options
from unlearn_server.app import serve as run
from unlearn_server.cli import options
from unlearn_server.cli.failures import told
from unlearn_server.logs import configure_logs

_CANNOT_START = 1


@click.command(context_settings={"show_default": True})
@options.data_dir
@options.database
@options.master_key
@click.option(
    "--address",
    default="localhost:50051",
    envvar="UNLEARN_ADDRESS",
    show_envvar=True,
    help="HOST:PORT to answer gRPC at.",
)
@click.option(
    "--advertise",
    envvar="UNLEARN_ADVERTISE",
    show_envvar=True,
    metavar="HOST:PORT",
    help="Where other servers on the same PostgreSQL database reach this one; by default "
    "--address, or this machine's name where that is every interface.",
)
@click.option(
    "--metrics-address",
    default="localhost:9464",
    envvar="UNLEARN_METRICS_ADDRESS",
    show_envvar=True,
    help="HOST:PORT to answer Prometheus at, under /metrics, and to show the log at, under /log.",
)
@options.signing_key
@click.option(
    "--log-origin",
    envvar="UNLEARN_LOG_ORIGIN",
    show_envvar=True,
    help="What the log is called for good, such as privacy.example.com/unlearning; said once, "
    "when it begins. By default a name made of its key.",
)
@click.option(
    "--witness",
    "witnesses",
    type=(str, str),
    multiple=True,
    metavar="VKEY URL",
    envvar="UNLEARN_WITNESSES",
    show_envvar=True,
    help="A witness to sign the log's checkpoints, by its verifier key and where it answers "
    "C2SP's tlog-witness; repeat. Erasures never wait for it.",
)
@click.option(
    "--witnesses-wanted",
    type=click.IntRange(min=1),
    envvar="UNLEARN_WITNESSES_WANTED",
    show_envvar=True,
    help="How many witnesses make a checkpoint the one that certificates are shown under; by "
    "default all of them.",
)
def serve(
    data_dir: Path,
    database: str | None,
    master_key: str | None,
    address: str,
    advertise: str | None,
    metrics_address: str,
    signing_key: Path | None,
    log_origin: str | None,
    witnesses: tuple[tuple[str, str], ...],
    witnesses_wanted: int | None,
) -> None:
    """Serve until SIGTERM, then drain.

    Keys that are missing are generated into the data directory, readable by you alone, when it
    is new. UNLEARN_SIGNING_KEY may hold the signing key itself, in PEM.

    \b
    Example:
        unlearn-server serve --data-dir ./data
    """
    configure_logs()
    with told(_CANNOT_START):
        failpoints.arm(os.environ)
        run(
            Options(
                data_dir,
                address,
                metrics_address,
                signing_key,
                log_origin,
                witnesses,
                witnesses_wanted,
                database,
                advertise,
                master_key,
            )
        )
