"""``unlearn audit``: does a model serve what its samples say?"""

import click

from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.failures import ANSWER_IS_NO
from unlearn_client.cli.hexadecimal import SALT
from unlearn_client.cli.reports import audit_report
from unlearn_client.cli.teaching import Command


@click.command(
    cls=Command,
    example="""\
unlearn audit pets
unlearn --json audit pets --salt $(openssl rand -hex 32)""",
)
@click.argument("model")
@click.option(
    "--salt",
    type=SALT,
    default=b"",
    help="32 bytes in hex; two models under one salt have equal commitments if they hold "
    "the same. Default: the salt of the release served.",
)
@pass_app
def audit(app: App, model: str, salt: bytes) -> None:
    """Recompute MODEL from the samples it holds, and compare it with what it serves.

    Exits with 0 if they are consistent, else with 1.
    """
    with app.progress("Recomputing"):
        answer = app.client().audit_model(model, salt)
    app.show(answer, audit_report(answer))
    if not answer.consistent:
        click.get_current_context().exit(ANSWER_IS_NO)
