"""Measures test errors and writes the results.

Run with `make bench-accuracy`; `--quick` learns little of everything, to see that it works.
"""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from time import monotonic, perf_counter

import click
import numpy as np
from rich.console import Console

from tests.benchmarks import datasets, machine
from tests.benchmarks.accuracy.images import Images
from tests.benchmarks.accuracy.learners import Method, error
from tests.benchmarks.accuracy.methods import FEATURE_MAPS, methods
from tests.benchmarks.accuracy.page import PLOT, page
from tests.benchmarks.accuracy.plot import save
from tests.benchmarks.accuracy.results import Cell, Report, Row
from tests.benchmarks.accuracy.tasks import FULL, QUICK, Sizes, Task, tasks
from tests.benchmarks.datasets import Dataset
from tests.benchmarks.files import RESULTS, write
from tests.benchmarks.words import duration
from unlearning import cores

CORE = "efficientnet-lite0"
PACKAGES = ("numpy", "scipy", "torch", "scikit-learn", "pillow")

console = Console(stderr=True)


@click.command()
@click.option("--quick", is_flag=True, help="Little of everything, to see that it works.")
def main(quick: bool) -> None:
    """Measures, prints and writes."""
    report = measure(QUICK if quick else FULL)
    # What was measured in a hurry must not stand where results do.
    folder = Path(mkdtemp()) if quick else RESULTS
    write(folder, "accuracy", report.values(), page(report))
    save(report, folder / PLOT)
    console.print(f"written to {folder} after {duration(report.seconds)}")


def measure(sizes: Sizes) -> Report:
    """The whole run."""
    here, began = machine.describe(PACKAGES), monotonic()
    missing = datasets.missing()
    for name, how in missing.items():
        console.print(f"{name} is skipped: {how}")
    installed = datasets.installed()
    rows = [row for dataset in installed.values() for row in measure_dataset(dataset, sizes)]
    return Report(
        machine=here,
        seconds=monotonic() - began,
        datasets={name: dataset.words for name, dataset in installed.items()},
        missing=missing,
        methods={name: method.words for name, method in methods(sizes.steps).items()},
        rows=rows,
    )


def measure_dataset(dataset: Dataset, sizes: Sizes) -> list[Row]:
    """All tasks of one data set."""
    todo = list(tasks(dataset, sizes))
    used = np.unique(np.concatenate([task.images for task in todo]))
    with console.status(f"{dataset.name}: features"):
        images = Images(dataset, cores.load(CORE), FEATURE_MAPS, used)
    return [measure_task(images, task, methods(sizes.steps)) for task in todo]


def measure_task(images: Images, task: Task, compared: Mapping[str, Method]) -> Row:
    """All methods that can take as many images."""
    trained = len(task.draws[0].train)
    cells = {}
    for name, method in compared.items():
        if trained <= method.largest:
            with console.status(f"{task.words}: {name}"):
                cells[name] = measure_method(images, task, method)
            console.print(f"{task.words}: {name} {cells[name].error:.1%} ({cells[name].chosen})")
    return Row(task.words, task.shots, trained, len(task.draws[0].test), cells)


def measure_method(images: Images, task: Task, method: Method) -> Cell:
    """Tunes once, then learns every draw."""
    labels = task.dataset.labels
    tuned = method.tune(images, task.tuning)
    errors, times = [], []
    for draw in task.draws:
        began = perf_counter()
        logits = tuned.learn(draw.train, labels[draw.train], draw.test)
        times.append(perf_counter() - began)
        errors.append(error(logits, labels[draw.test]))
    return Cell(errors, median(times), tuned.chosen)


if __name__ == "__main__":
    main()
