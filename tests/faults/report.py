"""What all campaigns together did and found, and the page that tells it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tests.benchmarks.machine import Machine
from tests.benchmarks.words import duration, table
from tests.faults.campaign import Summary, Tally


@dataclass(frozen=True)
class Report:
    """Campaigns by the database that they were on, and the commit that they attacked."""

    machine: Machine
    commit: str
    campaigns: Mapping[str, Summary]

    @property
    def mismatches(self) -> list[str]:
        return [
            f"{database}: {mismatch}"
            for database, summary in self.campaigns.items()
            for mismatch in summary.mismatches
        ]

    def values(self) -> dict[str, Any]:
        return asdict(self)

    def page(self) -> str:
        """Markdown."""
        seconds = max(summary.seconds for summary in self.campaigns.values())
        return "\n".join(
            [
                "# Faults",
                "",
                f"`make faults` at {self.commit}, in {duration(seconds)}: on both databases at "
                "once, one fault after another under load; then a program outside the server "
                "compares all that was done with all that was told "
                "([how](../../../docs/durability.md)).",
                "",
                self._totals(),
                *(f"- {each}\n" for each in self.mismatches),
                "Each fault has a server of its own, and the calls that were answered, or had to "
                "be made again, before the next one began:",
                "",
                *map(self._faults, self.campaigns),
                self.machine.words,
                "",
            ]
        )

    def _totals(self) -> str:
        columns = [_totals(summary) for summary in self.campaigns.values()]
        rows = [[what, *(column[what] for column in columns)] for what in columns[0]]
        return table(["", *self.campaigns], rows)

    def _faults(self, database: str) -> str:
        tallies = self.campaigns[database].tallies
        rows = [_row(kind, tallies[kind]) for kind in sorted(tallies)]
        return table([f"on {database}", "times", "calls answered", "made again"], rows)


def _row(kind: str, tally: Tally) -> list[str]:
    return [kind, *(f"{count:,}" for count in (tally.faults, tally.calls, tally.retries))]


def _totals(summary: Summary) -> dict[str, str]:
    checked, tallies = summary.checked, summary.tallies
    kills = sum(tally.faults for kind, tally in tallies.items() if "SIGKILL" in kind)
    counts = {
        "faults": sum(tally.faults for tally in tallies.values()),
        "of them SIGKILL of the server": kills,
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
        "**mismatches**": len(summary.mismatches),
    }
    return {what: f"{count:,}" for what, count in counts.items()}
