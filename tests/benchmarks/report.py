"""All that one run measured."""

from dataclasses import dataclass

from tests.benchmarks.deletion import Deletion
from tests.benchmarks.lines import Line
from tests.benchmarks.machine import Machine
from tests.benchmarks.roofline import Roofline
from tests.benchmarks.service import Service
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.sweeps import Sweep
from tests.benchmarks.timing import Timed
from tests.benchmarks.transparency import Transparency


@dataclass(frozen=True)
class Report:
    """One run."""

    machine: Machine
    sizes: Sizes
    lines: list[Line]
    deletion: Deletion
    fits: dict[str, Timed]
    wide: dict[str, Timed]
    memory: float
    service: Service
    postgresql: Service | None
    transparency: Transparency
    floors: dict[str, Timed]
    sweeps: list[Sweep]
    roofline: Roofline
