"""``unlearn suppressions``: let a person who was erased come back."""

import click

from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.teaching import Group
from unlearn_client.names import model_name


@click.group(cls=Group, example='unlearn suppressions lift pets alice --reason "a new account"')
def suppressions() -> None:
    """Who was erased from a model may not be added to it again, until that is lifted."""


@suppressions.command(example='unlearn suppressions lift pets alice --reason "a new account"')
@click.argument("model")
@click.argument("subject")
@click.option("--reason", required=True, help="Why, in a line that is kept: no personal data.")
@pass_app
def lift(app: App, model: str, subject: str, reason: str) -> None:
    """Let samples of SUBJECT be added to MODEL again."""
    app.client().lift_suppression(model, subject, reason)
    name = model_name(model)
    app.show({"lifted": name}, f"Samples of the person may be added to {name} again.")
