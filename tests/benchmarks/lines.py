"""What is promised of the speed, and what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.deletion import Deletion
from tests.benchmarks.load import BURST_CLIENTS
from tests.benchmarks.service import Service
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.timing import Timed
from tests.benchmarks.transparency import Transparency
from tests.benchmarks.words import duration


@dataclass(frozen=True)
class Goal:
    """What must be reached, and what is aimed at.

    Attributes:
        unit: of both.
        must, aim: the bounds; no aim where the must is all.
        at_least: whether they bound from below.
    """

    unit: str
    must: float
    aim: float | None = None
    at_least: bool = True

    def words(self, bound: float | None) -> str:
        """One of the bounds."""
        if bound is None:
            return "-"
        return f"{'at least' if self.at_least else 'at most'} {bound:,g} {self.unit}"

    def reached(self, value: float) -> str:
        """The better of the two that a value reaches."""
        if self.aim is not None and self._holds(value, self.aim):
            return "aim"
        return "must" if self._holds(value, self.must) else "neither"

    def _holds(self, value: float, bound: float) -> bool:
        return value >= bound if self.at_least else value <= bound


@dataclass(frozen=True)
class Line:
    """One comparison: what was measured and beside what, and the figure that has a goal."""

    what: str
    ours: str
    beside: str
    value: float
    goal: Goal
    runs: str

    @property
    def figure(self) -> str:
        """The value in its unit."""
        digits = 0 if self.value >= 20 else 2
        return f"{self.value:,.{digits}f} {self.goal.unit}"

    @property
    def reached(self) -> str:
        """How good it is."""
        return self.goal.reached(self.value)


def lines(
    sizes: Sizes,
    deletion: Deletion,
    fits: dict[str, Timed],
    wide: dict[str, Timed],
    memory: float,
    service: Service,
    transparency: Transparency,
) -> list[Line]:
    """All of them; the service's on SQLite."""
    times = deletion.times
    return [
        _faster(
            "engine: one row erased, weights correctly rounded and proven; Ridge refit",
            *(times["engine"], times["refit"], 100, 200),
        ),
        Line(
            "engine: fit from stored features; one float64 `X.T @ X`",
            *(duration(fits["statistics"].seconds), duration(fits["product"].seconds)),
            fits["statistics"].seconds / fits["product"].seconds,
            Goal("x the time", 1.5, 0.8, at_least=False),
            _runs(fits["statistics"], fits["product"]),
        ),
        _faster(
            f"engine: one row erased at d = {sizes.wide:,}; Ridge refit",
            *(wide["erase"], wide["refit"], 30, 100),
        ),
        Line(
            f"engine: peak memory at d = {sizes.wide:,}; one d x d float64",
            *(f"{memory * 8 * sizes.wide**2 / 2**20:.0f} MiB", f"{sizes.wide**2 / 2**17:.0f} MiB"),
            memory,
            Goal("d²", 5, 3, at_least=False),
            "1",
        ),
        *of_service(sizes, service),
        _of_log("a certificate made, signed and appended", transparency, transparency.append, 1),
        _of_log("an inclusion proof", transparency, transparency.proof, 5),
    ]


def of_service(sizes: Sizes, service: Service) -> list[Line]:
    """Those of the service, on one database."""
    one, subject, inference = service.one, service.subject, service.inference
    burst, adding = sizes.burst / service.burst.seconds, service.added / service.adding.seconds
    return [
        _faster(
            "service: CreateErasure to SUCCEEDED, durable, one client; Ridge refit",
            *(one["erase"], one["refit"], 40, 80),
        ),
        _faster(
            f"service: {sizes.subject_rows} rows of one subject, the same; Ridge refit",
            *(subject["erase"], subject["refit"], 25, 40),
        ),
        Line(
            f"service: {sizes.burst:,} rows of {sizes.burst:,} subjects, sent by "
            f"{BURST_CLIENTS} clients that do not wait, to the last SUCCEEDED",
            *(duration(service.burst.seconds), "-", burst),
            Goal("erasures/s", 500, 2000),
            str(service.burst.runs),
        ),
        Line(
            "service: `ModelInfer` of one row while erasures run at full rate; idle (medians)",
            duration(inference.pressed.median),
            duration(inference.idle.median),
            inference.pressed.median / inference.idle.median,
            Goal("x the time", 2, 1.2, at_least=False),
            f"{inference.pressed.runs:,} / {inference.idle.runs:,}",
        ),
        Line(
            f"service: {service.added:,} rows added over gRPC, durable",
            *(duration(service.adding.seconds), "-", adding),
            Goal("rows/s", 5000),
            str(service.adding.runs),
        ),
    ]


def _of_log(
    what: str, transparency: Transparency, timed: Sequence[Timed], most_milliseconds: float
) -> Line:
    small, large = timed[0], timed[-1]
    return Line(
        f"log of {transparency.sizes[-1]:,} leaves: {what}; at {transparency.sizes[0]:,} leaves",
        duration(large.seconds),
        duration(small.seconds),
        1e3 * large.seconds,
        Goal("ms", most_milliseconds, at_least=False),
        _runs(large, small),
    )


def _faster(what: str, ours: Timed, beside: Timed, must: float, aim: float) -> Line:
    return Line(
        what,
        duration(ours.seconds),
        duration(beside.seconds),
        beside.seconds / ours.seconds,
        Goal("x faster", must, aim),
        _runs(ours, beside),
    )


def _runs(ours: Timed, beside: Timed) -> str:
    return f"{ours.runs} / {beside.runs}"
