"""What feature maps of a core learn from three data sets when nothing is chosen: errors.

Run with `make bench-maps`. Each image goes through the network once, for all maps. The ridge is
the core's own, which a model has that is created with a map alone.
"""

from dataclasses import asdict, dataclass

import numpy as np
from rich.progress import track

from tests.benchmarks import datasets, machine
from tests.benchmarks.accuracy.images import Images
from tests.benchmarks.datasets import Dataset, Indices
from tests.benchmarks.derivative.fits import Weighted
from tests.benchmarks.files import RESULTS, write
from tests.benchmarks.machine import Machine
from tests.benchmarks.pretraining.sets import STAMPS, dataset
from tests.benchmarks.words import table
from unlearning.cores import Core, load
from unlearning.leave_one_out import held_out_error, leave_out

CORE = "efficientnet-lite0"
MAPS = (
    "head:1x1",
    "10:3x3",
    "7:3x3+10:3x3",
    "7:3x3+10:3x3+head:1x1",
    "4:4x4+7:4x4+10:4x4+head:1x1",
)
MOST_LEARNED = 15_000


@dataclass(frozen=True)
class Errors:
    """The fraction of a data set's images that is told wrongly, by map.

    Attributes:
        learned: how many images.
        tested: how many others; 0 where each of those learned is left out to test it.
        by_map: the errors.
    """

    learned: int
    tested: int
    by_map: dict[str, float]

    @property
    def words(self) -> str:
        """Of how many images they are."""
        tested = f"{self.tested:,} tested" if self.tested else "each left out"
        return f"{self.learned:,} learned, {tested}"


@dataclass(frozen=True)
class Report:
    """All that one run measured."""

    machine: Machine
    ridge: float
    widths: dict[str, int]
    errors: dict[str, Errors]


def main() -> None:
    """Measures, and writes the page."""
    core = load(CORE)
    report = Report(
        machine.describe(("numpy", "scipy", "torch", "pillow")),
        core.ridge,
        {each: core.width(each) for each in MAPS},
        {name: _errors(core, dataset(name)) for name in track(datasets.SOURCES, "Data sets")},
    )
    write(RESULTS, "feature_maps", asdict(report), _page(report))


def _errors(core: Core, data: Dataset) -> Errors:
    """On the test images; of the stamps, which are few, on each that is left out."""
    train, test = data.train[:MOST_LEARNED], data.test
    used = np.concatenate([train, test])
    images = Images(data, core, MAPS, used)
    if data.name == STAMPS:
        return Errors(len(used), 0, {each: _left_out(images, each, used) for each in MAPS})
    tested = {each: _tested(images, each, train, test) for each in MAPS}
    return Errors(len(train), len(test), tested)


def _tested(images: Images, feature_map: str, train: Indices, test: Indices) -> float:
    X, truth = images.features(feature_map, test), images.dataset.labels[test]
    return _learned(images, feature_map, train).test(images.core.ridge, X, truth).error


def _left_out(images: Images, feature_map: str, every: Indices) -> float:
    learned = _learned(images, feature_map, every)
    fit = learned.fit(images.core.ridge)
    pairs = ((leave_out(fit, rows).residuals, rows.t) for rows in learned.blocks())
    return 1 - held_out_error(pairs).accuracy


def _learned(images: Images, feature_map: str, some: Indices) -> Weighted:
    data = images.dataset
    X = images.features(feature_map, some)
    return Weighted.of(X, data.labels[some], len(data.classes))


def _page(report: Report) -> str:
    lines = [
        [
            f"`{each}`",
            f"{width:,}",
            *(f"{errors.by_map[each]:.1%}" for errors in report.errors.values()),
        ]
        for each, width in report.widths.items()
    ]
    sets = [f"{name}: {errors.words}" for name, errors in report.errors.items()]
    return f"""# Feature maps of `{CORE}`

{report.machine.words}

Errors of the ridge model in float64, at the core's own ridge, {report.ridge:g}, which a model has
that is created with a map alone. Of Fashion-MNIST the first training images are learned. Each stamp
is told by the fit of all the others, in closed form. The maps were compared on these images, so
the best are slightly flattered.

{table(["feature map", "width", *sets], lines)}"""


if __name__ == "__main__":
    main()
