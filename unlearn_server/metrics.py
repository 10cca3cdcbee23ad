"""What an operator watches, for Prometheus.

What the database knows is read from it at each scrape, so it cannot drift; what only
happens in memory (requests, solves) is counted as it happens. No label holds
personal data. How a solve went depends on what was erased, so the histograms of
solves are for the operator alone and never part of a release.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from unlearn_server.domain import ErasureState, Retention

REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
SOLVE_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600)
ERASURE_BUCKETS = (0.05, 0.1, 0.5, 1, 5, 60, 3600, 86400, 604800, 2592000)
ITERATION_BUCKETS = (1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500, 1000)
MARGIN_BUCKETS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5)


@dataclass(frozen=True)
class LedgerSnapshot:
    """What the database holds at one moment.

    Attributes:
        erasures: how many are in each state; a state that is missing has none.
        next_due: the earliest due time of those still open; None if there is none.
        samples: by model id and retention.
        releases: how many releases each model has had, by model id.
        overdue: how many erasures are open past their due time.
        late: how many ended after it.
    """

    erasures: Mapping[ErasureState, int]
    next_due: datetime | None
    samples: Mapping[tuple[str, Retention], int]
    releases: Mapping[str, int]
    overdue: int = 0
    late: int = 0


class Metrics:
    """Every metric of one server, in a registry of its own."""

    def __init__(
        self, snapshot: Callable[[], LedgerSnapshot], is_holder: Callable[[], bool] = lambda: True
    ) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_LedgerCollector(snapshot))
        self.requests = Counter(
            "unlearn_requests_total",
            "Finished requests.",
            ("method", "code"),
            registry=self.registry,
        )
        self.request_seconds = self._histogram(
            "request_seconds", "Duration of a request.", REQUEST_BUCKETS, ("method",)
        )
        self.erasure_seconds = self._histogram(
            "erasure_seconds",
            "From the receipt of an erasure request to its completion.",
            ERASURE_BUCKETS,
        )
        self.solve_iterations = self._histogram(
            "solve_iterations", "Iterations that a solve took.", ITERATION_BUCKETS
        )
        self.solve_seconds = self._histogram("solve_seconds", "Duration of a solve.", SOLVE_BUCKETS)
        self.solve_residual = Gauge(
            "unlearn_solve_residual",
            "Residual that a long solve is at, relative to its first one.",
            ("model",),
            registry=self.registry,
        )
        self.rounding_margin = self._histogram(
            "rounding_margin",
            "Distance of a solution from the nearest rounding boundary, in units of the lattice.",
            MARGIN_BUCKETS,
        )
        self.cosignatures = Gauge(
            "unlearn_log_cosignatures",
            "Witnesses that signed the log's newest checkpoint.",
            registry=self.registry,
        )
        self.unwitnessed_seconds = Gauge(
            "unlearn_log_unwitnessed_seconds",
            "How long the log's newest checkpoint has lacked witnesses that are wanted; 0 if none.",
            registry=self.registry,
        )
        holder = Gauge(
            "unlearn_holder",
            "1 if this server erases; of several on one database exactly one does.",
            registry=self.registry,
        )
        holder.set_function(is_holder)
        build = Info("unlearn_build", "The version that runs.", registry=self.registry)
        build.info({"version": version("unlearn-server")})

    def _histogram(
        self, name: str, help_text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()
    ) -> Histogram:
        return Histogram(
            f"unlearn_{name}", help_text, labels, buckets=buckets, registry=self.registry
        )


class _LedgerCollector(Collector):
    """Reads the database at each scrape; a scrape fails, and shows so, if that fails."""

    def __init__(self, snapshot: Callable[[], LedgerSnapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        snapshot = self._snapshot()
        yield _erasures(snapshot)
        yield _next_due(snapshot, datetime.now(UTC))
        yield GaugeMetricFamily(
            "unlearn_erasures_overdue", "Open erasures past their due time.", snapshot.overdue
        )
        yield CounterMetricFamily(
            "unlearn_erasures_late", "Erasures that ended past their due time.", snapshot.late
        )
        yield _samples(snapshot)
        yield _releases(snapshot)


def _erasures(snapshot: LedgerSnapshot) -> Metric:
    family = GaugeMetricFamily("unlearn_erasures", "Erasures, by state.", labels=("state",))
    for state in ErasureState:
        family.add_metric((state,), snapshot.erasures.get(state, 0))
    return family


def _next_due(snapshot: LedgerSnapshot, now: datetime) -> Metric:
    """Has no value when nothing is due, so that a threshold on it does not fire."""
    family = GaugeMetricFamily(
        "unlearn_next_due_seconds",
        "Time until an open erasure is due; negative if overdue, absent if none is open.",
    )
    if snapshot.next_due is not None:
        family.add_metric((), (snapshot.next_due - now).total_seconds())
    return family


def _samples(snapshot: LedgerSnapshot) -> Metric:
    family = GaugeMetricFamily(
        "unlearn_samples", "Samples held, by model and retention.", labels=("model", "retention")
    )
    for labels, count in snapshot.samples.items():
        family.add_metric(labels, count)
    return family


def _releases(snapshot: LedgerSnapshot) -> Metric:
    family = CounterMetricFamily("unlearn_releases", "Releases made, by model.", labels=("model",))
    for model_id, count in snapshot.releases.items():
        family.add_metric((model_id,), count)
    return family
