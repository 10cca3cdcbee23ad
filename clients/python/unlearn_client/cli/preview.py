"""``unlearn preview``: what an erasure would do, before anybody confirms it."""

import click

from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.teaching import Command
from unlearn_client.cli.valuation_reports import preview_report
from unlearn_client.selection import Selection


@click.command(
    cls=Command,
    example="""\
unlearn preview pets --subject alice@example.org
unlearn preview pets --subject alice@example.org --minimum-class-samples 20""",
)
@click.argument("model")
@click.option("--subject", "subjects", multiple=True, help="Without this person; may be repeated.")
@click.option("--sample", "samples", multiple=True, help="Without this sample; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="Without any user data.")
@click.option(
    "--minimum-class-samples",
    type=click.IntRange(min=0),
    default=0,
    help="Tell which classes would have fewer, and whose erasure would add to them.",
)
@pass_app
def preview(
    app: App,
    model: str,
    subjects: tuple[str, ...],
    samples: tuple[str, ...],
    everything: bool,
    minimum_class_samples: int,
) -> None:
    """Say what an erasure would do to MODEL's error and predictions. Nothing is changed.

    The error is that on samples which are left out of the fit, one at a time.
    """
    if [bool(subjects), bool(samples), everything].count(True) != 1:
        raise click.UsageError("say whose erasure: one of --subject, --sample and --all")
    if everything:
        selection = Selection.all_user_data()
    else:
        selection = Selection.subjects(subjects) if subjects else Selection.samples(samples)
    with app.progress("Looking ahead"):
        seen = app.client().preview_erasure(
            model, selection, minimum_class_samples=minimum_class_samples
        )
    app.show(seen, preview_report(seen))
