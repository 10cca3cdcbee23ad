"""What one run found, and the numbers that are reported of it."""

from dataclasses import asdict, dataclass
from math import sqrt
from statistics import mean, median, stdev
from typing import Any

from scipy.stats import t

from tests.benchmarks.machine import Machine

BASELINE = "fine-tuning"
LEVEL = 0.975
"""Of the quantile that bounds an interval of 95 %."""


@dataclass(frozen=True)
class Cell:
    """One method on one task.

    Attributes:
        errors: the fraction of test images classified wrongly, of each draw.
        seconds: the median of training and testing once.
        chosen: its settings.
    """

    errors: list[float]
    seconds: float
    chosen: str

    @property
    def error(self) -> float:
        """The mean over draws."""
        return mean(self.errors)


@dataclass(frozen=True)
class Row:
    """All methods on one task.

    Attributes:
        words: the task's.
        shots: of each class; None for all.
        trained, tested: numbers of images.
        cells: by the name of the method.
    """

    words: str
    shots: int | None
    trained: int
    tested: int
    cells: dict[str, Cell]

    def increase(self, method: str) -> float | None:
        """Of the mean test error over fine-tuning's, relative to it; None if either was not run."""
        if method not in self.cells or BASELINE not in self.cells:
            return None
        return self.cells[method].error / self.cells[BASELINE].error - 1

    def half_width(self, method: str) -> float:
        """Of the error's interval: Student's over draws, or the test images' for a single one."""
        cell = self.cells[method]
        if len(cell.errors) > 1:
            n = len(cell.errors)
            return float(t.ppf(LEVEL, n - 1)) * stdev(cell.errors) / sqrt(n)
        return 1.96 * sqrt(cell.error * (1 - cell.error) / self.tested)


@dataclass(frozen=True)
class Report:
    """One run.

    Attributes:
        seconds: it took, in all.
        datasets: in words, by name.
        missing: how to install what was skipped, by name.
        methods: in words, by name.
    """

    machine: Machine
    seconds: float
    datasets: dict[str, str]
    missing: dict[str, str]
    methods: dict[str, str]
    rows: list[Row]

    def rivals(self) -> list[str]:
        """All methods but fine-tuning."""
        return [method for method in self.methods if method != BASELINE]

    def shots(self) -> list[int | None]:
        """The kinds of tasks."""
        return list(dict.fromkeys(row.shots for row in self.rows))

    def median_increase(self, method: str, *shots: int | None) -> float:
        """Over tasks with any of these shots."""
        increases = [row.increase(method) for row in self.rows if row.shots in shots]
        return median(increase for increase in increases if increase is not None)

    def values(self) -> dict[str, Any]:
        """As JSON."""
        every = self.shots()
        medians = {
            method: {
                "all": self.median_increase(method, *every),
                **{shots_in_words(k): self.median_increase(method, k) for k in every},
            }
            for method in self.rivals()
        }
        return {**asdict(self), "median_relative_increase": medians}


def shots_in_words(shots: int | None) -> str:
    """How many images of each class."""
    return f"{shots}-shot" if shots else "full data"
