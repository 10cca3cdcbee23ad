"""``unlearn erasures``: how deletion requests stand, and what an operator can do."""

from datetime import UTC, datetime

import click

from unlearn.v1.erasure_pb2 import Erasure
from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.failures import ANSWER_IS_NO
from unlearn_client.cli.reports import erasure_listing, erasure_report
from unlearn_client.cli.teaching import Group
from unlearn_client.waiting import ENDED

STATES = [name.lower() for name in Erasure.State.keys() if name != "STATE_UNSPECIFIED"]  # noqa: SIM118 - no dict


@click.group(cls=Group, example="unlearn erasures list --state needs_operator")
def erasures() -> None:
    """Follow deletion requests; cancel, retry, extend or refuse them."""


@erasures.command(
    "list",
    example="""\
unlearn erasures list
unlearn erasures list --state pending --state needs_operator""",
)
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only these.")
@pass_app
def list_(app: App, states: tuple[str, ...]) -> None:
    """Show every erasure, or those in some states."""
    wanted = [Erasure.State.Value(state.upper()) for state in states]
    app.show_all(app.client().list_erasures(wanted), erasure_listing)


@erasures.command(example="unlearn erasures get 3f0c8a52-9d0e-4a57-8a3e-0c5d1f6b7a90")
@click.argument("erasure")
@pass_app
def get(app: App, erasure: str) -> None:
    """Show ERASURE: its state, what it did to each model, when it is due."""
    found = app.client().get_erasure(erasure)
    app.show(found, erasure_report(found))


@erasures.command(example="unlearn erasures watch 3f0c8a52-9d0e-4a57-8a3e-0c5d1f6b7a90")
@click.argument("erasure")
@pass_app
def watch(app: App, erasure: str) -> None:
    """Show ERASURE now and at each change, until it ends or waits for a person.

    Exits with 0 if it succeeded, else with 1.
    """
    ended = app.client().wait_for_erasure(
        erasure, progress=lambda latest: app.show(latest, erasure_report(latest))
    )
    exit_with(ended)


@erasures.command(example="unlearn erasures cancel 3f0c8a52-9d0e-4a57-8a3e-0c5d1f6b7a90")
@click.argument("erasure")
@pass_app
def cancel(app: App, erasure: str) -> None:
    """Withdraw ERASURE while it is pending, held or needs an operator."""
    cancelled = app.client().cancel_erasure(erasure)
    app.show(cancelled, erasure_report(cancelled))


@erasures.command(example="unlearn erasures retry 3f0c8a52-9d0e-4a57-8a3e-0c5d1f6b7a90")
@click.argument("erasure")
@pass_app
def retry(app: App, erasure: str) -> None:
    """Send ERASURE, which needs an operator, back to be carried out."""
    retried = app.client().retry_erasure(erasure)
    app.show(retried, erasure_report(retried))


@erasures.command(
    example="""\
unlearn erasures extend 3f0c8a52-9d0e-4a57-8a3e-0c5d1f6b7a90 \\
    --due 2030-04-28 --reason "many requests at once\""""
)
@click.argument("erasure")
@click.option(
    "--due",
    required=True,
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]),
    help="The new due time, in UTC: at most two months after the first.",
)
@click.option("--reason", required=True, help="Why, in a line that is kept: no personal data.")
@pass_app
def extend(app: App, erasure: str, due: datetime, reason: str) -> None:
    """Let ERASURE, which is open and not overdue, take longer; once."""
    extended = app.client().extend_erasure(erasure, due.replace(tzinfo=UTC), reason)
    app.show(extended, erasure_report(extended))


@erasures.command(
    example="""\
unlearn erasures refuse 3f0c8a52-9d0e-4a57-8a3e-0c5d1f6b7a90 \\
    --ground gdpr-17-3-b --reason "kept as tax law demands\""""
)
@click.argument("erasure")
@click.option("--ground", required=True, help="Its short code, which is certified.")
@click.option("--reason", required=True, help="Why, in a line that is kept, and not certified.")
@pass_app
def refuse(app: App, erasure: str, ground: str, reason: str) -> None:
    """End ERASURE, which is pending, held or needs an operator, and certify on what ground."""
    refused = app.client().refuse_erasure(erasure, ground, reason)
    app.show(refused, erasure_report(refused))


def exit_with(erasure: Erasure) -> None:
    """Ends the command with 1 if the erasure ended without success."""
    if erasure.state in ENDED and erasure.state != Erasure.SUCCEEDED:
        click.get_current_context().exit(ANSWER_IS_NO)
