"""Asking for an erasure, in a way that can be repeated safely."""

from dataclasses import dataclass, field
from secrets import token_bytes
from uuid import uuid4

import click

from unlearn.v1 import erasure_pb2
from unlearn.v1.erasure_pb2 import Erasure
from unlearn_client.cli.app import App, document
from unlearn_client.cli.erasures import exit_with
from unlearn_client.cli.reports import erasure_report
from unlearn_client.cli.words import state_words
from unlearn_client.client import Client
from unlearn_client.erasures import SALT_BYTES


def fresh_salt() -> bytes:
    """32 random bytes."""
    return token_bytes(SALT_BYTES)


@dataclass(frozen=True)
class Request:
    """An erasure to ask for; its commitments are under the salt."""

    selection: erasure_pb2.Selection
    models: tuple[str, ...]
    method: Erasure.Method.ValueType = Erasure.METHOD_UNSPECIFIED
    regulation: str = ""
    request_id: str = field(default_factory=lambda: str(uuid4()))
    salt: bytes = field(default_factory=fresh_salt)

    def send(self, client: Client, *, validate_only: bool) -> Erasure:
        """Asks, once or again; answers what it has come to."""
        return client.create_erasure(
            self.selection,
            self.models,
            self.method,
            self.regulation,
            request_id=self.request_id,
            commitment_salt=self.salt,
            validate_only=validate_only,
        )


def carry_out(app: App, request: Request, *, waits: bool) -> None:
    """Asks, perhaps waits until it is done, and shows it; ends the command with 1 if it failed."""
    # Said before it is sent: if the answer is lost, nothing else can repeat it safely.
    salt = request.salt.hex()
    click.echo(f"Keep these: --request-id {request.request_id} --salt {salt}", err=True)
    client = app.client()
    erasure = request.send(client, validate_only=False)
    if erasure.state == Erasure.PENDING:
        _tell_of_cohorts(client, erasure)
    if waits:
        erasure = _wait(app, client, erasure)
    app.show(document(erasure) | {"commitmentSalt": salt}, erasure_report(erasure))
    if erasure.state == Erasure.SUCCEEDED and not any(o.erased_samples for o in erasure.outcomes):
        click.echo("Nothing was erased: no sample matched. Check the ids' spelling.", err=True)
    exit_with(erasure)


def _tell_of_cohorts(client: Client, erasure: Erasure) -> None:
    for name in erasure.models:
        if (cohort := client.get_model(name).minimum_cohort) > 1:
            words = f"{name} erases no fewer than {cohort} people together: it may wait for others"
            click.echo(f"{words} until a day before it is due", err=True)


def _wait(app: App, client: Client, erasure: Erasure) -> Erasure:
    with app.progress("Erasing") as so_far:
        return client.wait_for_erasure(
            erasure.name, progress=lambda latest: so_far(state_words(latest))
        )
