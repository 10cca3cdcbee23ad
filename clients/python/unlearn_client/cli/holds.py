"""``unlearn holds``: suspend a person's erasure, and let it go on."""

import click

from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.reports import hold_listing, hold_report
from unlearn_client.cli.teaching import Group


@click.group(cls=Group, example="unlearn holds list")
def holds() -> None:
    """Suspend erasures of a person while the law demands it (GDPR Art. 17(3))."""


@holds.command(example='unlearn holds place alice@example.org --reason "a lawsuit"')
@click.argument("subject")
@click.option("--reason", required=True, help="Why, in a line that is kept: no personal data.")
@pass_app
def place(app: App, subject: str, reason: str) -> None:
    """Suspend the erasure of SUBJECT in all models, until the hold is lifted.

    Requests that touch the person wait as HELD. They stay due.
    """
    placed = app.client().place_hold(subject, reason)
    app.show(placed, hold_report(placed))


@holds.command("list", example="unlearn holds list")
@pass_app
def list_(app: App) -> None:
    """Show every hold, those that were lifted too."""
    app.show_all(app.client().list_holds(), hold_listing)


@holds.command(example="unlearn holds lift 5b0e1c4e-6a4f-4a3c-9c0e-2f1d7a6b8c90")
@click.argument("hold")
@pass_app
def lift(app: App, hold: str) -> None:
    """End HOLD; requests that no other hold applies to go on."""
    lifted = app.client().lift_hold(hold)
    app.show(lifted, hold_report(lifted))
