"""Measures what the derivative says, and how fast, and writes the results.

Run with `make bench-derivative`; `--quick` measures little of everything, to see that it works.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic
from typing import NamedTuple

import click
import numpy as np
from rich.console import Console

from tests.benchmarks import datasets, machine
from tests.benchmarks.accuracy.images import Images
from tests.benchmarks.data import generate
from tests.benchmarks.datasets import Dataset
from tests.benchmarks.derivative import choice, detection, peer, preview, removal, speed
from tests.benchmarks.derivative.choice import Extension, Reweighting, Split
from tests.benchmarks.derivative.detection import PART, Detection
from tests.benchmarks.derivative.page import PLOT, page
from tests.benchmarks.derivative.plot import save
from tests.benchmarks.derivative.removal import Removal
from tests.benchmarks.derivative.report import CLEAN, NOISY, Report
from tests.benchmarks.files import RESULTS, write
from tests.benchmarks.words import duration
from unlearning import cores

CORE = "efficientnet-lite0"
PACKAGES = ("numpy", "scipy", "torch", "scikit-learn")
NOISES = {CLEAN: 0.0, NOISY: PART}
SETS = {"digits": 1797, "Fashion-MNIST": 4000}
"""Images of each that are used, drawn once."""

console = Console(stderr=True)


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    rows: int
    width: int
    preview_rows: int
    preview_width: int
    largest: int


FULL = Sizes(60_000, 1281, 20_000, 257, max(SETS.values()))
QUICK = Sizes(4_000, 129, 12_000, 33, 1200)
CLASSES = 10


@click.command()
@click.option("--quick", is_flag=True, help="Little of everything, to see that it works.")
def main(quick: bool) -> None:
    """Measures, prints and writes."""
    report = measure(QUICK if quick else FULL)
    # What was measured in a hurry must not stand where results do.
    folder = Path(mkdtemp()) if quick else RESULTS
    write(folder, "derivative", report.values(), page(report))
    save(report, folder / PLOT)
    console.print(f"written to {folder} after {duration(report.seconds)}")


def measure(sizes: Sizes) -> Report:
    """The whole run."""
    here, began = machine.describe(PACKAGES), monotonic()
    with console.status(f"{sizes.rows:,} rows of width {sizes.width:,}"):
        timed = speed.measure(generate(sizes.rows, sizes.width, CLASSES))
    with console.status("previews"):
        previews = preview.measure(generate(sizes.preview_rows, sizes.preview_width, CLASSES))
    found = {
        name: _of_images(dataset, min(SETS[name], sizes.largest))
        for name, dataset in datasets.installed().items()
        if name in SETS
    }
    return Report(
        machine=here,
        seconds=monotonic() - began,
        speed_rows=sizes.rows,
        width=sizes.width,
        classes=CLASSES,
        speed=timed,
        preview_rows=sizes.preview_rows,
        previews=previews,
        missing=_missing(),
        detections={name: each.detection for name, each in found.items()},
        removals={name: each.removal for name, each in found.items()},
        extensions={name: each.extensions for name, each in found.items()},
        reweightings={name: each.reweightings for name, each in found.items()},
    )


def _missing() -> dict[str, str]:
    """How to install what is not there."""
    missing = {name: how for name, how in datasets.missing().items() if name in SETS}
    return missing if peer.FOLDER.is_dir() else {**missing, "kronfluence": peer.INSTALL}


class OfImages(NamedTuple):
    """What is measured on a data set."""

    detection: Detection
    removal: Removal
    extensions: dict[str, Extension]
    reweightings: dict[str, Reweighting]


def _of_images(dataset: Dataset, count: int) -> OfImages:
    used = np.random.default_rng(0).permutation(len(dataset.labels))[:count]
    core = cores.load(CORE)
    with console.status(f"{dataset.name}: features"):
        images = Images(dataset, core, (core.feature_map,), used)
    X, labels = images.features(core.feature_map, used), dataset.labels[used]
    split = Split.of(count, base=150, validation=150, test=count // 3)
    with console.status(f"{dataset.name}: wrong labels"):
        detected = detection.measure(X, labels, CLASSES, core.ridge)
    with console.status(f"{dataset.name}: rows removed"):
        removed = removal.measure(X, labels, CLASSES, core.ridge)
    with console.status(f"{dataset.name}: rows to add, and weights"):
        extensions, reweightings = (
            {
                words: chosen(X, labels, CLASSES, core.ridge, split, part)
                for words, part in NOISES.items()
            }
            for chosen in (choice.extension, choice.reweighting)
        )
    return OfImages(detected, removed, extensions, reweightings)


if __name__ == "__main__":
    main()
