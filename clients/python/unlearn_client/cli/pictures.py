"""Values as pictures: their distribution, the most harmful images, and errors without those."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from unlearn.v1.erasure_pb2 import PreviewErasureResponse
from unlearn.v1.valuation_pb2 import Derivative, EstimateErrorResponse
from unlearn_client.cli.outputs import writing
from unlearn_client.client import Client
from unlearn_client.samples.folder import IMAGE_SUFFIXES

SHOWN = 12
BINS = 60
COLUMNS = 6
BLUE = "#2563eb"


class Shown(NamedTuple):
    """An image, the folder of its class, what the model makes of it, and its derivative."""

    image: Path
    label: str
    predicted: str
    derivative: float


def harmful(
    client: Client, model: str, values: Sequence[Derivative], folder: Path | None
) -> list[Shown]:
    """The most harmful of the samples that were added from a folder, with predictions."""
    if folder is None:
        return []
    found = [(value, _image_of(folder, value.id)) for value in values[:SHOWN]]
    images = [(value, path) for value, path in found if path is not None]
    if not images:
        raise click.UsageError("--images: the samples shown were not added from this folder")
    answer = client.predict(model, images=[path.read_bytes() for _, path in images])
    classes = client.get_model(model).classes
    predicted = [classes[best] for best in answer.logits.argmax(axis=1)]
    return [
        Shown(path, value.id.partition("/")[0], label, value.derivative)
        for (value, path), label in zip(images, predicted, strict=True)
    ]


def save(path: Path, values: Sequence[Derivative], images: Sequence[Shown]) -> None:
    """Draws into a file whose ending says its form."""
    rows = -(-len(images) // COLUMNS)
    figure = _figure(3.5 + 2.2 * rows)
    parts = figure.subfigures(2 if rows else 1, 1, squeeze=False)
    _draw_distribution(parts[0, 0].subplots(), values)
    if rows:
        _draw_images(parts[1, 0], images, rows)
    with writing(path):
        figure.savefig(path)


def save_removals(
    path: Path, n: int, now: EstimateErrorResponse, ahead: Sequence[PreviewErasureResponse]
) -> None:
    """Draws errors of what is left of n samples against the fraction removed."""
    figure = _figure(3.5)
    removed = [0.0, *(seen.samples / n for seen in ahead)]
    errors = [now.error, *(seen.error_after for seen in ahead)]
    wrong = [1 - now.accuracy, *(1 - seen.accuracy_after for seen in ahead)]
    parts = zip(figure.subplots(1, 2), (errors, wrong), strict=True)
    for (axes, values), what in zip(parts, ("mean squared distance", "wrong"), strict=True):
        axes.plot(removed, values, "o-", color=BLUE)
        axes.set_xlabel("fraction removed, the most harmful first")
        axes.set_ylabel(f"{what}, each sample left out")
        axes.set_ylim(bottom=0)
    with writing(path):
        figure.savefig(path)


def _figure(height: float) -> Any:
    if importlib.util.find_spec("matplotlib") is None:
        raise click.UsageError("--plot needs matplotlib: pip install 'unlearn-server[plots]'")
    from matplotlib.figure import Figure  # an extra

    return Figure(figsize=(11, height), layout="constrained")


def _draw_distribution(axes: Any, values: Sequence[Derivative]) -> None:
    axes.hist([value.derivative for value in values], bins=BINS, color=BLUE)
    axes.axvline(0, color="#1f2937", linewidth=1)
    axes.set_yscale("symlog")
    axes.set_xlabel("derivative: above 0, more weight raises the error")
    axes.set_ylabel("samples")


def _draw_images(figure: Any, images: Sequence[Shown], rows: int) -> None:
    from PIL import Image

    panels = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for axes in panels:
        axes.axis("off")
    for axes, shown in zip(figure.axes, images, strict=False):
        with Image.open(shown.image) as image:
            axes.imshow(image.convert("RGB"))
        axes.set_title(f"{shown.label}? {shown.predicted}\n{shown.derivative:.3g}", fontsize=9)


def _image_of(folder: Path, sample_id: str) -> Path | None:
    """The file that a sample was added from; None if there is none below the folder."""
    root = folder.resolve()
    for suffix in sorted(IMAGE_SUFFIXES):
        path = (root / f"{sample_id}{suffix}").resolve()
        if path.is_relative_to(root) and path.is_file():
            return path
    return None
