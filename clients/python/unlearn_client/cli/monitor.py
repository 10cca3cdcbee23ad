"""``unlearn monitor``: is a server still what it says? For cron."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Group, RenderableType

from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.failures import ANSWER_IS_NO, BAD_INPUT, report
from unlearn_client.cli.reports import facts
from unlearn_client.cli.teaching import Command
from unlearn_client.cli.trust import (
    FILE,
    find_log,
    read_key,
    read_witnesses,
    wanted_option,
    witnesses_option,
)
from unlearn_client.errors import UnlearnError
from unlearn_client.monitor import Look, Monitor
from unlearn_client.monitor_log import ServedLog
from unlearn_client.monitor_memory import Memory
from unlearn_client.verification import VerificationError


@click.command(
    cls=Command,
    example="""\
unlearn monitor --state pets.json --key operator.pem --log https://unlearn.example/log
unlearn --json monitor --state pets.json --key operator.pem --budget 0.01""",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="What was seen so far; made at the first look. It moves on once all was verified.",
)
@click.option(
    "--key",
    type=FILE,
    required=True,
    help="The key to trust, got from somebody you believe: a PEM file, a verifier key, or a "
    "keys.json.",
)
@click.option(
    "--log",
    help="The log as it is published: a folder or an http(s) URL. Without it the server itself is "
    "asked, which does not tell of keys that changed.",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0),
    default=float("inf"),
    help="The most nats that may be left of what was erased. Default: any.",
)
@witnesses_option
@wanted_option
@pass_app
def monitor(
    app: App,
    state: Path,
    key: Path,
    log: str | None,
    budget: float,
    witnesses: tuple[str, ...],
    wanted: int | None,
) -> None:
    """Verify what the server certified since the last look, and flag what is wrong.

    The log must continue the one seen before, and every certificate in it must hold. Flagged
    are requests that are overdue or refused, late completions, bounds above the budget, and
    changes of a core or of the log's key.

    Exits with 0 if nothing is flagged, with 1 if something is, with 2 if it could not look.
    """
    keyring, asked = read_key(key), read_witnesses(witnesses, wanted)
    client = app.client()
    followed = find_log(log, app.timeout) if log else ServedLog(client)
    try:
        memory = Memory.read(state)
        look = Monitor(client, followed, keyring, asked, budget, app.timeout).look(
            memory, datetime.now(UTC)
        )
    except UnlearnError as error:
        report(error, app)
        click.get_current_context().exit(BAD_INPUT)
    except VerificationError as error:
        _cannot(str(error))
    except OSError as error:
        _cannot(f"{state}: {error.strerror}")
    app.show(_document(look), _report(look))
    if look.memory:
        _keep(look.memory, state)
    if look.flagged:
        click.get_current_context().exit(ANSWER_IS_NO)


def _keep(memory: Memory, state: Path) -> None:
    """Only once all was shown: the next look begins after it."""
    try:
        memory.write(state)
    except OSError as error:
        _cannot(f"{state}: {error.strerror}")


def _cannot(why: str) -> NoReturn:
    click.echo(f"Error: {why}", err=True)
    click.get_current_context().exit(BAD_INPUT)


def _document(look: Look) -> dict[str, Any]:
    log = look.checkpoint
    return {
        "log": {"origin": log.origin, "size": log.size} if log else None,
        "certificates": [statement.document for statement in look.certificates],
        "findings": [vars(finding) for finding in look.findings],
        "flagged": look.flagged,
        "verified": look.memory is not None,
    }


def _report(look: Look) -> RenderableType:
    return Group(facts(_rows(look)), "FLAGGED" if look.flagged else "nothing to flag")


def _rows(look: Look) -> Iterator[tuple[str, str]]:
    if look.checkpoint:
        yield "The log", f"{look.checkpoint.origin} at size {look.checkpoint.size}"
    for statement in look.certificates:
        yield f"certificates/{statement.index}", statement.summary
    for finding in look.findings:
        yield finding.about, f"{'FLAGGED' if finding.flagged else 'Note'}: {finding.words}"
