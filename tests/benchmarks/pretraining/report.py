"""All that was found, and what of the claims it bears out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from tests.benchmarks.machine import Machine
from tests.benchmarks.pretraining.choices import SIZED
from tests.benchmarks.pretraining.intervals import Mean
from tests.benchmarks.pretraining.probes import is_related

GOAL = 0.005
"""Of the mean regret."""


@dataclass(frozen=True)
class Report:
    """One set of runs.

    Attributes:
        made: processor seconds and last loss of each core, of every seed.
        few_shot, probes, choices, payoff: as the modules of these names measure.
    """

    machine: Machine
    datasets: Mapping[str, str]
    made: Mapping[str, Mapping[str, Any]]
    few_shot: Mapping[str, Any]
    probes: Mapping[str, Any]
    choices: Mapping[str, Any]
    payoff: Mapping[str, Any]

    def values(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def signs(self, encoder: str, other: str) -> list[int]:
        """Of CIDS minus another method, over few-shot tasks."""
        return [
            Mean(**found["CIDS minus"][other]).sign
            for found in self.few_shot[encoder]["tasks"].values()
        ]

    def probe_signs(self, role: str, *, related: bool) -> list[int]:
        """Of the student of both minus another core, over specialists, tasks and judges."""
        return [
            Mean(**found["both minus"][role]).sign
            for specialist, tasks in self.probes.items()
            for task, judges in tasks.items()
            for found in judges.values()
            if is_related(specialist, task) == related
        ]

    def regret(self, rule: str, data: str = "") -> float:
        """The mean of a rule's at sizes people have, over the tasks of one data set or of all."""
        tasks = self.choices[SIZED]["tasks"].items()
        return fmean(
            found["regret"][rule]["mean"] for task, found in tasks if task.startswith(data)
        )


def counted(signs: list[int]) -> str:
    """Better, not told apart, worse."""
    return f"{signs.count(1)} / {signs.count(0)} / {signs.count(-1)}"
