"""``unlearn erase``: ask to forget, in as few words as that takes."""

from uuid import UUID, uuid4

import click

from unlearn.v1 import erasure_pb2
from unlearn.v1.erasure_pb2 import Erasure
from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.asking import Request, carry_out, fresh_salt
from unlearn_client.cli.hexadecimal import SALT
from unlearn_client.cli.reports import dry_run_report
from unlearn_client.cli.teaching import Command
from unlearn_client.selection import Selection


@click.command(
    cls=Command,
    example="""\
unlearn erase --subject alice@example.org --regulation gdpr --wait
unlearn erase --sample cat/alice-1 --sample cat/alice-2 --model pets
unlearn erase --all --model pets --method zero
unlearn erase --subject alice@example.org --dry-run""",
)
@click.option("--subject", "subjects", multiple=True, help="Forget this person; may be repeated.")
@click.option("--sample", "samples", multiple=True, help="Forget this sample; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="Forget all user data of the --models.")
@click.option("--model", "models", multiple=True, help="Only here; default: wherever a match is.")
@click.option(
    "--method",
    type=click.Choice(["exact", "newton", "zero"]),
    help="Default: exact where the model allows it, else newton.",
)
@click.option("--regulation", default="", help='The ground it is asked on, e.g. "gdpr".')
@click.option("--wait", "waits", is_flag=True, help="Return when it is done; 1 if it is not.")
@click.option("--request-id", type=click.UUID, default=uuid4, help="A UUID4; default: fresh.")
@click.option("--salt", type=SALT, default=fresh_salt, help="32 bytes in hex; default: fresh.")
@click.option("--dry-run", is_flag=True, help="Say what would be erased, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before --all.")
@pass_app
def erase(
    app: App,
    subjects: tuple[str, ...],
    samples: tuple[str, ...],
    everything: bool,
    models: tuple[str, ...],
    method: str | None,
    regulation: str,
    waits: bool,
    request_id: UUID,
    salt: bytes,
    dry_run: bool,
    yes: bool,
) -> None:
    """Erase people or samples from models. Once accepted, it cannot be lost.

    The request id and the salt are printed first: with them, the same command can be
    repeated safely after a failure, and the certificate's commitments can be opened.
    """
    selection = _selection(subjects, samples, everything, models)
    if everything and not (yes or dry_run):
        click.confirm(f"Erase all user data of {', '.join(models)}?", abort=True, err=True)
    request = Request(selection, models, _method(method), regulation, str(request_id), salt)
    if dry_run:
        planned = request.send(app.client(), validate_only=True)
        app.show(planned, dry_run_report(planned))
    else:
        carry_out(app, request, waits=waits)


def _selection(
    subjects: tuple[str, ...], samples: tuple[str, ...], everything: bool, models: tuple[str, ...]
) -> erasure_pb2.Selection:
    if [bool(subjects), bool(samples), everything].count(True) != 1:
        raise click.UsageError("say what to erase: one of --subject, --sample and --all")
    if everything and not models:
        raise click.UsageError("--all needs --model, as often as there are models to empty")
    if everything:
        return Selection.all_user_data()
    return Selection.subjects(subjects) if subjects else Selection.samples(samples)


def _method(name: str | None) -> Erasure.Method.ValueType:
    return Erasure.Method.Value(name.upper()) if name else Erasure.METHOD_UNSPECIFIED
