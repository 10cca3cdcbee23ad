"""``unlearn predict``: what a model says of images, texts or features."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from unlearn_client.cli.app import App, pass_app
from unlearn_client.cli.reports import listing
from unlearn_client.cli.teaching import Command
from unlearn_client.client import Client
from unlearn_client.inference import Prediction
from unlearn_client.samples.features import feature_matrix
from unlearn_client.samples.folder import images_below
from unlearn_client.samples.manifest import TEXT
from unlearn_client.samples.tables import TABLE_SUFFIXES, read_table

IMAGES_AT_ONCE = 256

Named = tuple[list[str], Prediction]
Answer = dict[str, Any]


@click.command(
    cls=Command,
    example="""\
unlearn predict pets new/cat.png new/dog.jpg
unlearn predict pets new/
unlearn --json predict pets features.parquet""",
)
@click.argument("model")
@click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@pass_app
def predict(app: App, model: str, paths: tuple[Path, ...]) -> None:
    """Classify images, texts, or rows of features.

    PATH is an image, a folder of images, or a .csv or .parquet file with a column text or of
    the core's features: a list column "features" (Parquet) or the columns f0, f1, ... (CSV).
    """
    client = app.client()
    found = client.get_model(model)
    if not (found.release or found.has_head):
        click.echo(f"{found.name} knows nothing yet: unlearn release makes it learn", err=True)
    answers = _answers(client, model, paths)
    # Programs get each line as it comes; a table needs all of them.
    app.show_all(answers if app.as_json else _collect(app, answers), _table)


def _collect(app: App, answers: Iterator[Answer]) -> list[Answer]:
    collected = []
    with app.progress("Predicting") as so_far:
        for answer in answers:
            collected.append(answer)
            so_far(f"{len(collected):,}")
    return collected


def _answers(client: Client, model: str, paths: Iterable[Path]) -> Iterator[Answer]:
    for path in paths:
        source = _of_table if path.suffix.lower() in TABLE_SUFFIXES else _of_images
        for names, prediction in source(client, model, path):
            for name, label, logits in zip(
                names, prediction.labels, prediction.logits.tolist(), strict=True
            ):
                by_class = dict(zip(prediction.classes, logits, strict=True))
                yield {"input": name, "label": label, "logits": by_class}


def _of_images(client: Client, model: str, path: Path) -> Iterator[Named]:
    files = images_below(path, str(path)) if path.is_dir() else [path]
    if not files:
        raise click.UsageError(f"{path} holds no images")
    for start in range(0, len(files), IMAGES_AT_ONCE):
        group = files[start : start + IMAGES_AT_ONCE]
        images = [file.read_bytes() for file in group]
        yield [str(file) for file in group], client.predict(model, images=images)


def _of_table(client: Client, model: str, path: Path) -> Iterator[Named]:
    for rows in read_table(path):
        names = [f"{path}, row {rows.first + index}" for index in range(len(rows.batch))]
        if TEXT in rows.columns:
            yield names, client.predict(model, texts=rows.texts(TEXT))
        else:
            yield names, client.predict(model, features=feature_matrix(rows))


def _table(answers: Iterable[Answer]) -> Table:
    rows = (
        (answer["input"], answer["label"], f"{answer['logits'][answer['label']]:.3f}")
        for answer in answers
    )
    return listing(["Input", "Class", "Logit"], rows)
