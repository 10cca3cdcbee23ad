"""What all rounds together did and found, and the page that tells it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.benchmarks.machine import Machine
from tests.benchmarks.words import duration
from tests.faults.campaign import Summary


@dataclass
class Totals:
    """Sums over campaigns."""

    machine: Machine
    faults: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    mismatches: list[str] = field(default_factory=list)
    rounds: int = 0
    seconds: float = 0.0

    def add(self, kinds: Sequence[str], summary: Summary) -> None:
        checked = summary.checked
        self.rounds += 1
        self.seconds += summary.seconds
        self.faults.update(kinds)
        self.counts.update(
            {
                "starts of the server": summary.starts,
                "calls answered": summary.calls,
                "calls whose answer was lost or an error, made again": summary.retries,
                "predictions, none of an older release": summary.predictions,
                "erasures carried out": checked.erasures,
                "requests withdrawn": checked.withdrawn,
                "certificates verified": checked.certificates,
                "leaves of the log": checked.leaves,
                "checkpoints seen on the way and found consistent": checked.checkpoints,
                "samples that remain, of which fresh models were made": checked.remaining,
            }
        )
        self.mismatches += summary.mismatches

    def values(self) -> dict[str, Any]:
        return {
            "rounds": self.rounds,
            "seconds": round(self.seconds, 1),
            "faults": dict(self.faults),
            "counts": dict(self.counts),
            "mismatches": self.mismatches,
            "machine": asdict(self.machine),
        }

    def page(self) -> str:
        rows = [
            *sorted(self.faults.items()),
            ("faults in all", self.faults.total()),
            *self.counts.items(),
            ("**mismatches**", f"**{len(self.mismatches)}**"),
        ]
        return "\n".join(
            [
                "# Faults",
                "",
                f"`make faults`, rounds: {self.rounds}, in {duration(self.seconds)}, checked after "
                "each by a program outside the server ([what is compared](../../../docs/"
                "durability.md)).",
                "",
                "| | |",
                "| --- | ---: |",
                *(
                    f"| {name} | {value if isinstance(value, str) else f'{value:,}'} |"
                    for name, value in rows
                ),
                "",
                *(f"- {each}" for each in self.mismatches),
                self.machine.words,
                "",
            ]
        )
