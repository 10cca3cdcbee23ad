"""What `unlearn-replay` takes beside one float64 product of the same rows, on one thread.

Run with `make bench-replay`.
"""

import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.benchmarks import machine
from tests.benchmarks.data import Data, generate
from tests.benchmarks.files import RESULTS, write
from tests.benchmarks.machine import Machine
from tests.benchmarks.timing import Timed, in_turn
from tests.benchmarks.words import duration, table
from unlearning.commitment import SALT_BYTES
from unlearning.cores import load
from unlearning.replay import exports
from unlearning.replay.exports import Block, Source

CORE, ROWS, CLASSES = "efficientnet-lite0", 60_000, 10


@dataclass(frozen=True)
class Report:
    """All that one run measured."""

    machine: Machine
    rows: int
    width: int
    classes: int
    replay: Timed
    product: Timed


def main() -> None:
    """Measures, and writes the page."""
    here, core = machine.describe(("numpy", "scipy")), load(CORE)
    width = core.width(core.feature_map)
    with TemporaryDirectory() as name:
        timed = _measure(generate(ROWS, width, CLASSES), Path(name) / "rows.npz")
    report = Report(here, ROWS, width, CLASSES, timed["replay"], timed["product"])
    write(RESULTS, "replay", asdict(report), _page(report))


def _measure(data: Data, export: Path) -> dict[str, Timed]:
    with export.open("wb") as file:
        block = Block(data.psi, data.labels.astype(np.int32), np.zeros(ROWS, np.bool_))
        source = Source("models/m", 1, bytes(SALT_BYTES), data.objective)
        exports.write(file, source, ROWS, [block])
    command = [Path(sys.executable).with_name("unlearn-replay"), export]
    X = data.rows

    def replay() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    return in_turn({"replay": replay, "product": lambda: X.T @ X})


def _page(report: Report) -> str:
    replay, product = report.replay, report.product
    lines = [
        [what, duration(timed.seconds), duration(timed.fastest), str(timed.runs)]
        for what, timed in (("`unlearn-replay`", replay), ("one float64 `X.T @ X`", product))
    ]
    return f"""# Replaying an export: measured

{report.machine.words}

{report.rows:,} rows of width {report.width:,} with the constant, that of the default map of
`{CORE}`, {report.classes} classes, generated features. The command is a process of its own, from
the file to both commitments, the weights correctly rounded and proven; it took
{replay.seconds / product.seconds:.2g} times as long as the product. Runs in turn.

{table(["what", "median", "fastest", "runs"], lines)}"""


if __name__ == "__main__":
    main()
