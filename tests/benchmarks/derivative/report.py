"""One run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tests.benchmarks.derivative.choice import Extension, Reweighting
from tests.benchmarks.derivative.detection import Detection
from tests.benchmarks.derivative.removal import Removal
from tests.benchmarks.derivative.speed import Speed
from tests.benchmarks.machine import Machine

CLEAN, NOISY = "right labels", "20 % wrong labels"


@dataclass(frozen=True)
class Report:
    """What was measured; all but speed and previews by the name of a data set."""

    machine: Machine
    seconds: float
    speed_rows: int
    width: int
    classes: int
    speed: Speed
    preview_rows: int
    previews: Mapping[int, float]
    missing: Mapping[str, str]
    detections: Mapping[str, Detection]
    removals: Mapping[str, Removal]
    extensions: Mapping[str, Mapping[str, Extension]]
    reweightings: Mapping[str, Mapping[str, Reweighting]]

    def values(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
