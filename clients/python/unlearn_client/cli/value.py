"""``unlearn value``: how large the error is, and which samples raise it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from unlearn.v1.valuation_pb2 import Objective
from unlearn_client.cli import pictures
from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.outputs import Output
from unlearn_client.cli.teaching import Command
from unlearn_client.cli.valuation_reports import error_report, value_listing

OBJECTIVES = {
    "leave-one-out": Objective.OBJECTIVE_LEAVE_ONE_OUT,
    "leave-subject-out": Objective.OBJECTIVE_LEAVE_SUBJECT_OUT,
    "core-validation": Objective.OBJECTIVE_CORE_VALIDATION,
}

objective_option = click.option(
    "--objective",
    type=click.Choice(list(OBJECTIVES)),
    default="leave-one-out",
    show_default=True,
    help="Of which error: on a sample left out, on all of a subject's, or on CORE samples.",
)


def ridge_option(default: str) -> Callable[..., Any]:
    """--ridge, 0 unless it is given, with words on what it is then."""
    return click.option(
        "--ridge",
        type=click.FloatRange(min=0),
        default=0.0,
        help=f"Value samples to a fit under this ridge; {default}",
    )


def plot_option(what: str) -> Callable[..., Any]:
    """--plot, the file to draw something into."""
    return click.option(
        "--plot",
        type=Output(".png", ".svg", ".pdf"),
        help=f"{what} into this file (PNG, SVG or PDF).",
    )


@click.command(
    cls=Command,
    example="""\
unlearn value pets
unlearn value pets --limit 0 --plot values.png --images photos/
unlearn value pets --by-subject --objective leave-subject-out""",
)
@click.argument("model")
@objective_option
@ridge_option("default: the model's own.")
@click.option("--by-subject", is_flag=True, help="Sum each subject's; named by its keyed hash.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="So many, the most harmful; 0: all.",
)
@plot_option("Draw the distribution of the values shown")
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder that samples were added from: draw the most harmful ones too.",
)
@pass_app
def value(
    app: App,
    model: str,
    objective: str,
    ridge: float,
    by_subject: bool,
    limit: int,
    plot: Path | None,
    images: Path | None,
) -> None:
    """Show what each sample of MODEL is worth, most harmful first.

    A sample's value is the derivative of the error with respect to its weight: above 0, the
    model would be better with less of it. Values are computed anew each time, and not stored.
    """
    if images and not plot:
        raise click.UsageError("--images needs --plot, the file to draw them into")
    if images and by_subject:
        raise click.UsageError("--images is for samples, not for --by-subject")
    client, kind = app.client(), OBJECTIVES[objective]
    if not app.as_json:
        error = client.estimate_error(model, kind, ridge=ridge)
        app.show(error, error_report(error))
    with app.progress("Leaving out"):
        values = list(
            client.differentiate_dataset(
                model, kind, by_subject=by_subject, limit=limit, ridge=ridge
            )
        )
    app.show_all(values, value_listing)
    if plot:
        pictures.save(plot, values, pictures.harmful(client, model, values, images))
