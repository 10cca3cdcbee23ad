"""All that one run measured, and the files that tell it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.deletion import Deletion
from tests.benchmarks.lines import Line
from tests.benchmarks.machine import Machine
from tests.benchmarks.roofline import Roofline
from tests.benchmarks.service import Service
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.sweeps import Sweep
from tests.benchmarks.timing import Timed
from tests.benchmarks.transparency import Transparency

RESULTS = Path(__file__).parent / "results"


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


def write(folder: Path, name: str, values: dict[str, Any], page: str) -> None:
    """Writes values as JSON, and their page beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(values, indent=2) + "\n")
    (folder / f"{name}.md").write_text(page)
