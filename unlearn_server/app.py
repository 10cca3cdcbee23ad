"""Builds the server's objects and runs them: the one place that knows them all."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from threadpoolctl import threadpool_limits

from inference import open_inference_grpc_pb2, open_inference_grpc_pb2_grpc
from unlearn.v1 import (
    audit_pb2,
    audit_pb2_grpc,
    erasure_pb2,
    erasure_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    valuation_pb2,
    valuation_pb2_grpc,
)
from unlearn_server import cores, custody, rotation, signing
from unlearn_server.announcements import Announcements
from unlearn_server.auditing import Auditor
from unlearn_server.certifying import Certifier
from unlearn_server.curation import Curation
from unlearn_server.data_directory import JOURNAL, LOG, locked
from unlearn_server.decisions import Decisions
from unlearn_server.eraser import Eraser
from unlearn_server.errors import StartupError
from unlearn_server.evidence import Evidence
from unlearn_server.exposition import expose
from unlearn_server.failpoints import Failpoint, reach
from unlearn_server.forwarding import ForwardingInterceptor
from unlearn_server.holding import Holding
from unlearn_server.ingest import Ingest
from unlearn_server.intake import Intake
from unlearn_server.interceptor import LARGEST_MESSAGE, RequestInterceptor
from unlearn_server.journal import Journal
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import erasures, log, models, releases, samples
from unlearn_server.ledger.database import Database, url_of
from unlearn_server.metrics import LedgerSnapshot, Metrics
from unlearn_server.moment import Moments
from unlearn_server.overload import Workers
from unlearn_server.prediction import Predictor
from unlearn_server.previewing import Previewer
from unlearn_server.publishing import Publisher
from unlearn_server.releasing import Releaser
from unlearn_server.reports.reporting import Reporter
from unlearn_server.services.audit_service import AuditService
from unlearn_server.services.erasure_service import LARGEST_WATCH, ErasureService
from unlearn_server.services.inference_service import InferenceService
from unlearn_server.services.model_service import ModelService
from unlearn_server.services.valuation_service import ValuationService
from unlearn_server.signing import SIGNING_FILE
from unlearn_server.stopping import Stopping
from unlearn_server.valuing import Valuer
from unlearn_server.witnessing import Witnessing, witnesses_of
from unlearn_server.workspace import Workspaces

WORKERS = LARGEST_WATCH + 16
WAITING = 32 * WORKERS
"""Requests that may wait for a worker; the next are told to come again."""
DRAIN_SECONDS = 30.0

_SWITCH_SECONDS = 0.0005
"""How long a thread that computes may keep Python from one that answers; by default 5 ms."""

_LARGEST_CROWD = 4096
"""Requests in all, those that are being refused included."""

_SERVICES = [
    *model_pb2.DESCRIPTOR.services_by_name.values(),
    *erasure_pb2.DESCRIPTOR.services_by_name.values(),
    *audit_pb2.DESCRIPTOR.services_by_name.values(),
    *valuation_pb2.DESCRIPTOR.services_by_name.values(),
    *open_inference_grpc_pb2.DESCRIPTOR.services_by_name.values(),
]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Options:
    """Where the data are, and where to listen (``host:port``; port 0 takes a free one).

    The keys are files in the data directory, the log's origin one of its own, and the database
    SQLite's in the data directory, where the cores are too, unless they are said. Witnesses are
    verifier keys and URLs; all are wanted unless it is said how many. Other servers on the database
    reach this one where it listens, unless it is said where.
    """

    data_dir: Path
    address: str
    metrics_address: str
    signing_key: Path | None = None
    log_origin: str | None = None
    witnesses: tuple[tuple[str, str], ...] = ()
    witnesses_wanted: int | None = None
    database: str | None = None
    advertise: str | None = None
    master_key: str | None = None
    cores: Path | None = None


@dataclass(frozen=True)
class Running:
    """A server that answers, and the ports that it took."""

    port: int
    metrics_port: int


def serve(options: Options) -> None:
    """Serves until SIGTERM or SIGINT, then drains.

    Raises:
        StartupError: if the data directory, the database or an address cannot be used; also if
            the database is lost, which the next start may have again.
    """
    stopping, lost = Stopping(), Event()

    def lose() -> None:
        lost.set()
        stopping.say()

    with running(options, lose) as server:
        _log.info("serving", port=server.port, metrics_port=server.metrics_port)
        stopping.wait()
        _log.info("draining")
    _log.info("stopped")
    if lost.is_set():
        raise StartupError("the database: the connection to it was lost; start again")


@contextmanager
def running(options: Options, lost: Callable[[], None] = lambda: None) -> Iterator[Running]:
    """A running server, drained at the end: requests finish, then the batch in hand.

    ``lost`` is called when the server must stop, because the database may be another's.
    """
    with ExitStack() as stack:
        stack.enter_context(locked(options.data_dir, create=True))
        # Half of the processors for the mathematics: the others answer, hash and store.
        threads = max(1, (os.cpu_count() or 1) // 2)
        stack.enter_context(threadpool_limits(threads, user_api="blas"))
        # Networks load later, and read this. Threads of a solve and of a prediction that share
        # too few processors wait for each other at every layer.
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        sys.setswitchinterval(_SWITCH_SECONDS)
        database = Database.open(url_of(options.data_dir, options.database), server=lost)
        reach(Failpoint.START_DATABASE)
        stack.callback(database.close)
        library = cores.library(options.data_dir, options.cores)
        cores.check(database, library)
        # New keys beside an old database would open none of its samples.
        keys = KeyRing.open(options.data_dir, options.master_key, create=_is_new(database))
        reach(Failpoint.START_KEYS)
        with database.write() as conn:
            custody.begin(conn, keys)
            custody.check(conn, keys)
        reach(Failpoint.START_KEY_IDS)
        journal = Journal(options.data_dir / JOURNAL, keys)
        certifier = _certifier(database, options, journal)
        reach(Failpoint.START_LOG)
        metrics = Metrics(lambda: _snapshot(database), lambda: database.fence is not None)
        to_erase, changes = Announcements(), Announcements()
        draining = Event()
        workspaces = Workspaces(database, library)
        releaser = Releaser(database, keys, workspaces, metrics, to_erase)
        erasers = [
            Eraser(
                database,
                keys,
                workspaces,
                releaser,
                certifier,
                metrics,
                to_erase,
                changes,
                tangent=tangent,
            )
            for tangent in (False, True)
        ]
        ingest = Ingest(database, keys, workspaces)
        moments = Moments(database, keys, workspaces, draining)
        forwarding = ForwardingInterceptor(database)
        stack.callback(forwarding.close)
        server = _grpc_server(metrics, forwarding)
        model_pb2_grpc.add_ModelServiceServicer_to_server(
            ModelService(
                database,
                Curation(database, workspaces, changes),
                ingest,
                releaser,
            ),
            server,
        )
        erasure_pb2_grpc.add_ErasureServiceServicer_to_server(
            ErasureService(
                database,
                keys,
                Intake(database, to_erase, changes),
                Decisions(database, certifier, to_erase, changes),
                Holding(database, to_erase, changes),
                Previewer(moments),
                changes,
                draining,
            ),
            server,
        )
        audit_pb2_grpc.add_AuditServiceServicer_to_server(
            AuditService(
                Auditor(database, keys, workspaces, draining),
                Evidence(database),
                Reporter(database),
            ),
            server,
        )
        valuation_pb2_grpc.add_ValuationServiceServicer_to_server(
            ValuationService(Valuer(moments)), server
        )
        open_inference_grpc_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(
            InferenceService(Predictor(database, keys, workspaces, ingest)), server
        )
        status = _add_health(server)
        port = _listen(server, options.address)
        witnessing = Witnessing(
            database, witnesses_of(options.witnesses), options.witnesses_wanted, metrics
        )
        publisher = Publisher(
            database, options.data_dir / LOG, changes, journal.show, witnessing.cosigned
        )
        publisher.check()
        metrics_port = _expose(metrics, options, stack)
        database.campaign(_advertised(options, port), lambda: _ring(to_erase, changes))
        publisher.start()
        stack.callback(publisher.stop)
        for eraser in erasers:
            eraser.start()
            stack.callback(eraser.stop)
        server.start()
        stack.callback(lambda: server.stop(DRAIN_SECONDS).wait())
        # Watchers would keep the server up to the last second, for nothing.
        stack.callback(changes.ring)
        stack.callback(draining.set)
        stack.callback(status.enter_graceful_shutdown)
        yield Running(port, metrics_port)


def _grpc_server(metrics: Metrics, forwarding: ForwardingInterceptor) -> grpc.Server:
    workers = Workers(WORKERS, WAITING)
    return grpc.server(
        workers,
        interceptors=[RequestInterceptor(metrics, workers), forwarding],
        maximum_concurrent_rpcs=_LARGEST_CROWD,  # beyond it grpc itself refuses
        options=[
            # Beyond this grpc itself refuses, without an ErrorInfo.
            ("grpc.max_receive_message_length", 4 * LARGEST_MESSAGE),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # a second server must not share the port silently
            # Of one caller the rest waits at the caller; of many, grpc would drop some after
            # 1,000, as if they had been cancelled, and say nothing.
            ("grpc.max_concurrent_streams", 128),
            # Else it drops the streams of a caller who keeps to that, under load: UNAVAILABLE.
            ("grpc.http.overload_protection", 0),
            ("grpc.server.max_pending_requests", _LARGEST_CROWD),
            ("grpc.server.max_pending_requests_hard_limit", 2 * _LARGEST_CROWD),
        ],
    )


def _add_health(server: grpc.Server) -> health.HealthServicer:
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    names = [service.full_name for service in _SERVICES]
    for name in ("", *names):
        servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    reflection.enable_server_reflection(
        [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server
    )
    return servicer


def _listen(server: grpc.Server, address: str) -> int:
    try:
        return int(server.add_insecure_port(address))
    except RuntimeError as error:
        message = f"--address: cannot listen at {address}; name a free host:port"
        raise StartupError(message) from error


def _advertised(options: Options, port: int) -> str:
    """Where other servers reach this one, which may listen at every interface."""
    host = options.address.rpartition(":")[0]
    is_everywhere = host in {"", "0.0.0.0", "[::]"}  # noqa: S104 # compared, not listened at
    return options.advertise or f"{socket.gethostname() if is_everywhere else host}:{port}"


def _ring(*bells: Announcements) -> None:
    for bell in bells:
        bell.ring()


def _is_new(database: Database) -> bool:
    """Whether no server has finished starting on it yet."""
    with database.read() as conn:
        return not log.has_begun(conn) and not models.page(conn, 0, 1)


def _certifier(database: Database, options: Options, journal: Journal) -> Certifier:
    path = options.signing_key or options.data_dir / SIGNING_FILE
    rotation.finish(database, path)
    with database.write() as conn:
        key = signing.open_key(path, create=not log.has_begun(conn))
        certifier = Certifier(key, journal)
        reach(Failpoint.START_SIGNING_KEY)
        certifier.open(conn, options.log_origin)
    return certifier


def _expose(metrics: Metrics, options: Options, stack: ExitStack) -> int:
    address = options.metrics_address
    try:
        server, thread = expose(address, metrics.registry, options.data_dir / LOG)
    except (OSError, ValueError) as error:
        message = f"--metrics-address: cannot listen at {address}; name a free host:port"
        raise StartupError(message) from error
    stack.callback(thread.join)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return int(server.server_port)


def _snapshot(database: Database) -> LedgerSnapshot:
    with database.read() as conn:
        return LedgerSnapshot(
            erasures=erasures.count_by_state(conn),
            next_due=erasures.earliest_due(conn),
            overdue=erasures.count_overdue(conn, datetime.now(UTC)),
            late=erasures.count_late(conn),
            samples=samples.count_by_model(conn),
            releases=releases.count_by_model(conn),
        )
