"""What the server shows over HTTP: metrics under ``/metrics``, the log's files under ``/log``."""

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import MetricsHandler

_log = structlog.get_logger(__name__)


class _Handler(SimpleHTTPRequestHandler):
    """Files of a folder, and what Prometheus scrapes."""

    def __init__(self, registry: CollectorRegistry, *args: Any, **kwargs: Any) -> None:
        self.registry = registry
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:  # http.server's
        """Answers a file of the log, or the metrics."""
        if self.path.startswith("/log/"):
            super().do_GET()
        elif urlsplit(self.path).path == "/metrics":
            MetricsHandler.do_GET(self)  # type: ignore[arg-type] # it needs the registry alone
        else:
            self.send_error(404)

    def send_head(self) -> Any:
        """Opens a file; none has a name that the system does not take."""
        try:
            return super().send_head()
        except ValueError:
            self.send_error(404)
            return None

    def translate_path(self, path: str) -> str:
        """A path under ``/log`` is one in the folder; ``..`` leads nowhere."""
        return super().translate_path(path.removeprefix("/log"))

    def list_directory(self, path: Any) -> None:
        """Lists nothing: a log's files are known by their names."""
        del path
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # http.server's
        """Says nothing; there would be a line for every scrape."""


class _Server(ThreadingHTTPServer):
    """Tells of a failure without its caller's address."""

    def handle_error(self, _request: object, _client_address: object) -> None:
        """Says what kind it was; a caller who left is none."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            _log.warning("an HTTP request failed", kind=type(error).__name__)


def expose(
    address: str, registry: CollectorRegistry, log: Path
) -> tuple[ThreadingHTTPServer, Thread]:
    """Serves at ``host:port`` in a thread; shut the returned server down at the end.

    Args:
        address: where.
        registry: of the metrics.
        log: the folder of the log's files.

    Raises:
        OSError: if the address cannot be bound.
        ValueError: if it is not ``host:port``.
    """
    host, _, port = address.rpartition(":")
    handler = partial(_Handler, registry, directory=str(log))
    server = _Server((host, int(port)), handler)
    thread = Thread(target=server.serve_forever, name="http", daemon=True)
    thread.start()
    return server, thread
