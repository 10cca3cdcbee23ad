"""``unlearn witness``: watch that logs show one history, and sign that they do."""

import json
import logging
import signal
from pathlib import Path
from time import sleep

import click

from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.teaching import Command
from unlearn_client.witness import Cosigner, WitnessError, opened, read_logs, serving

FILE = click.Path(dir_okay=False, path_type=Path)

_LOOK_AGAIN_SECONDS = 0.5


@click.command(
    cls=Command,
    example="""\
unlearn witness --name witness.example/w1 --state w1.json --key w1.key \\
  --log unlearn.example/log+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k""",
)
@click.option("--name", required=True, help="What the witness is called for good.")
@click.option(
    "--state",
    type=FILE,
    required=True,
    help="What it signed last of each log; made with the key. Never restore it from a backup.",
)
@click.option(
    "--key",
    type=FILE,
    required=True,
    help="Its Ed25519 key, in PEM; made at the first start, readable by you alone.",
)
@click.option(
    "--listen", default="localhost:8080", show_default=True, help="HOST:PORT to answer HTTP at."
)
@click.option(
    "--log",
    "logs",
    multiple=True,
    required=True,
    metavar="VKEY",
    help="The verifier key of a log to sign for; repeat, also for a log's next key.",
)
@pass_app
def witness(
    app: App, name: str, state: Path, key: Path, listen: str, logs: tuple[str, ...]
) -> None:
    """Cosign the checkpoints of logs, each only if it continues the one before, until SIGTERM.

    Speaks C2SP's tlog-witness over plain HTTP: put a proxy before it for TLS. It prints its
    verifier key, which logs and unlearn verify are given.

    Exits with 2 if it cannot start.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    said: list[int] = []  # a handler may take no lock, as an Event does
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: said.append(number))
    try:
        known = read_logs(logs)
        with (
            opened(state, key, name) as (own, signed),
            serving(Cosigner(own, known, signed), listen) as port,
        ):
            started = {"verifierKey": own.verifier_key, "port": port}
            # Whole: a table would break it where the terminal ends.
            click.echo(json.dumps(started) if app.as_json else own.verifier_key)
            while not said:  # one that comes just before a wait does not end it
                sleep(_LOOK_AGAIN_SECONDS)
    except WitnessError as error:
        raise click.UsageError(str(error)) from error
