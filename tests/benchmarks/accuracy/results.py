"""What one run found, and the numbers that are reported of it."""

from dataclasses import asdict, dataclass
from math import inf, sqrt
from statistics import mean, median, stdev
from typing import Any

from scipy.stats import norm, t

from tests.benchmarks.machine import Machine

BASELINE, FEATURES = "fine-tuning", "FEATURES"
TANGENT, DEEPER_TANGENT = "TANGENT", "TANGENT, deeper"
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
        errors = self.cells[method].errors
        return _student(errors) if len(errors) > 1 else _normal(self._variance(method))

    def differs(self, method: str, other: str = BASELINE) -> int:
        """Whether the error is below (-1) or above another's (1) beyond chance; 0 if unsure.

        The interval is of the differences draw by draw, or, for a single draw, of two fractions
        as if their test images were not the same, which is wider.
        """
        ours, theirs = self.cells[method], self.cells[other]
        apart = [one - another for one, another in zip(ours.errors, theirs.errors, strict=True)]
        if len(apart) > 1:
            width = _student(apart)
        else:
            width = _normal(self._variance(method) + self._variance(other))
        return (mean(apart) > width) - (mean(apart) < -width)

    def _variance(self, method: str) -> float:
        error = self.cells[method].error
        return error * (1 - error) / self.tested


def _student(values: list[float]) -> float:
    """Half of the interval of a mean."""
    n = len(values)
    return float(t.ppf(LEVEL, n - 1)) * stdev(values) / sqrt(n)


def _normal(variance: float) -> float:
    return float(norm.ppf(LEVEL)) * sqrt(variance)


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
        """The kinds of tasks, from the fewest images to all."""
        return sorted({row.shots for row in self.rows}, key=lambda shots: shots or inf)

    def median_increase(self, method: str, *shots: int | None) -> float | None:
        """Over tasks with any of these shots; None if it was not run on one."""
        increases = [row.increase(method) for row in self.rows if row.shots in shots]
        known = [increase for increase in increases if increase is not None]
        return median(known) if known else None

    def differences(self, method: str, *shots: int | None) -> tuple[int, int, int]:
        """On how many of these tasks it is better than fine-tuning, not told apart, and worse."""
        rows = [row for row in self.rows if row.shots in shots]
        both = [row for row in rows if row.increase(method) is not None]
        found = [row.differs(method) for row in both]
        return found.count(-1), found.count(0), found.count(1)

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
