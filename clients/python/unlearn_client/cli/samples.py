"""``unlearn samples`` and ``unlearn release``: from files to a model that answers."""

import re
from pathlib import Path
from typing import Any

import click

from unlearn.v1.model_pb2 import Release
from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.failures import ANSWER_IS_NO
from unlearn_client.cli.reports import release_report
from unlearn_client.cli.teaching import Command, Group
from unlearn_client.samples import read_samples
from unlearn_client.samples.manifest import RETENTIONS


@click.group(cls=Group, example="unlearn samples add pets photos/ --subject-from '^([a-z]+)-'")
def samples() -> None:
    """Fill models with samples."""


def _pattern(ctx: click.Context, option: click.Parameter, text: str | None) -> Any:
    try:
        return re.compile(text) if text else None
    except re.error as error:
        raise click.BadParameter(f"no regular expression: {error}", ctx, option) from error


@samples.command(
    example="""\
unlearn samples add pets photos/ --subject-from '^([a-z]+)-'   (photos/cat/alice-1.png)
unlearn samples add pets public-photos/ --retention core
unlearn samples add pets samples.csv
unlearn samples add pets features.parquet"""
)
@click.argument("model")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--subject-from",
    callback=_pattern,
    metavar="REGEX",
    help="For a folder: finds the person in a file's path below its class folder; "
    "the first group, or the whole match, is the subject.",
)
@click.option(
    "--retention",
    type=click.Choice(list(RETENTIONS)),
    default="user",
    show_default=True,
    help="user: may be erased; core: never needs to be. A manifest's own column goes first.",
)
@pass_app
def add(
    app: App, model: str, path: Path, subject_from: re.Pattern[str] | None, retention: str
) -> None:
    """Add the samples in PATH to MODEL. Doing it again changes nothing.

    PATH is a folder with a folder of PNG or JPEG images for each class; a sample's id is
    its file's path without the suffix. Or it is a .csv or .parquet manifest with the
    columns sample_id, subject_id, label (a class's name, or its index), optionally
    retention, and either path (of an image, seen from the manifest), text, or the core's
    features: a list column "features" (Parquet) or the columns f0, f1, ... (CSV).
    """
    if path.is_dir() and subject_from is None and retention == "user":
        raise click.UsageError("a folder needs --subject-from, or --retention core")
    if subject_from is not None and not path.is_dir():
        raise click.UsageError("--subject-from is for folders; a manifest names its subjects")
    client = app.client()
    found = read_samples(
        path,
        client.get_model(model).classes,
        subject_from=subject_from,
        retention=RETENTIONS[retention],
    )
    with app.progress("Adding samples") as so_far:
        added = client.add_samples(model, found, progress=lambda count: so_far(f"{count:,}"))
    if not added.added + added.unchanged:
        raise click.UsageError(f"{path} holds no samples")
    app.show(added, f"{added.added} samples added, {added.unchanged} were there already.")


@click.command(cls=Command, example="unlearn release pets")
@click.argument("model")
@pass_app
def release(app: App, model: str) -> None:
    """Solve for MODEL's weights on every sample it now holds, and serve them.

    Exits with 1 if no solution was found; the server's log says why.
    """
    with app.progress("Solving"):
        created = app.client().create_release(model)
    app.show(created, release_report(created))
    if created.state == Release.FAILED:
        click.get_current_context().exit(ANSWER_IS_NO)
