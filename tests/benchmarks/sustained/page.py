"""What was measured as a page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.benchmarks.machine import Machine
from tests.benchmarks.sustained.answers import OVERLOADED, Latencies
from tests.benchmarks.sustained.arrivals import MIX
from tests.benchmarks.sustained.book import POPULATION
from tests.benchmarks.sustained.clients import CONNECTIONS
from tests.benchmarks.sustained.load import PROCESSES
from tests.benchmarks.sustained.measuring import (
    ABOVE,
    BELOW,
    PROMPT_SECONDS,
    STEP,
    STEP_SECONDS,
    Measured,
    Part,
)
from tests.benchmarks.sustained.people import CLASSES, ROWS, WIDTH
from tests.benchmarks.words import duration, table


@dataclass(frozen=True)
class Report:
    """One run, by database."""

    machine: Machine
    commit: str
    measured: Mapping[str, Measured]

    @property
    def failures(self) -> list[str]:
        """What must never be."""
        return [
            f"{database}: {failure}"
            for database, measured in self.measured.items()
            for failure in (
                *measured.mismatches,
                *(
                    f"{part.without_retry} refusals that do not say when to come again"
                    for part in measured.parts
                    if part.without_retry
                ),
            )
        ]


def page(report: Report) -> str:
    """Markdown."""
    mix = ", ".join(f"{share:.0%} {operation.value}s" for operation, share in MIX.items())
    return "\n".join(
        [
            "# Sustained load\n",
            f"`make bench-load` at {report.commit}. The mix: {mix} (of one row; of a person with "
            f"{ROWS} rows; of a whole person). The model has width {WIDTH + 1} with the constant, "
            f"{len(CLASSES)} classes and some {POPULATION:,} people. Calls are due at random "
            "times, whatever the server does (a Poisson process). Each counts from when it was "
            "due until its answer, which of an addition and an erasure means: on disk. An erasure "
            "is *carried out* once a release that never saw the person is served and certified; "
            "that counts from its receipt.\n",
            "![Calls, their latencies, memory and open erasures, second by second](load.svg)\n",
            _peaks(report.measured),
            *(_section(database, each) for database, each in report.measured.items()),
            *(f"- {each}" for each in report.failures),
            "## Limits\n",
            *(f"- {each}" for each in _limits()),
            "",
            report.machine.words,
            "",
        ]
    )


def _peaks(measured: Mapping[str, Measured]) -> str:
    head = ["database", "peak: calls a second", "the next step: slowest p99", "answers"]
    rows = []
    for database, each in measured.items():
        failed = each.steps[-1]
        rows.append([database, f"{each.peak:.0f}", duration(failed.p99), _codes(failed.codes)])
    return table(head, rows)


def _section(database: str, measured: Measured) -> str:
    checked = measured.checked
    first, last = measured.memory[0].size, measured.memory[-1].size
    return "\n".join(
        [
            f"## On {database}\n",
            *(_part(part) for part in measured.parts),
            f"The server's resident memory: {first / 1e6:.0f} MB when the load began, "
            f"{last / 1e6:.0f} MB at its end; in the second half of the sustained part it changed "
            f"by {60 * measured.growth / 1e6:+.2f} MB a minute.\n",
            f"Afterwards, by a checker outside the server: {checked.erasures:,} erasures carried "
            f"out, {checked.certificates:,} certificates that verify, {checked.remaining:,} rows "
            f"of which a fresh model was made, {len(measured.mismatches)} mismatches.\n",
        ]
    )


def _part(part: Part) -> str:
    segment = part.segment
    head = ["answered OK", "calls", "p50", "p90", "p99", "longest"]
    return "\n".join(
        [
            f"**{segment.name.capitalize()}**: {segment.rate:.0f} calls a second for "
            f"{duration(segment.seconds)}; {_codes(part.codes)}.\n",
            table(head, list(_rows(part))),
        ]
    )


def _rows(part: Part) -> Iterator[list[str]]:
    for operation, latencies in part.latencies.items():
        yield _row(operation, latencies)
    yield _row("erasure, carried out", part.carried_out)
    for operation, latencies in part.refused.items():
        yield _row(f"{operation}, refused", latencies)


def _row(what: str, of: Latencies) -> list[str]:
    return [what, f"{of.calls:,}", *map(duration, (of.p50, of.p90, of.p99, of.longest))]


def _codes(codes: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {code}" for code, count in sorted(codes.items()))


def _limits() -> list[str]:
    return [
        f"The peak is the last of rates that grow by {STEP - 1:.0%}, {STEP_SECONDS:.0f} s each, at "
        "which every call was answered OK, 99 of 100 of each kind and every open erasure within "
        f"{duration(PROMPT_SECONDS)}. The long load is at {BELOW:.0%} of it, then {ABOVE:g} times "
        "it, then as before.",
        f"Clients are {PROCESSES} processes with {CONNECTIONS} connections each, on the same cores "
        "as the server: beyond the peak they take from it what it would need. What a connection "
        "has beyond 128 calls waits in the client, and counts.",
        f"Every {OVERLOADED} must come with a RetryInfo; here nobody heeds it, so the overload "
        "goes on.",
        "A call that is refused must not have been carried out, which the checker finds out.",
    ]
