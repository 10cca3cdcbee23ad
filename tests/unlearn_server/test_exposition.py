"""Metrics and the log's files over HTTP, and nothing else of the disk."""

from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from unlearn_server.exposition import expose


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    registry = CollectorRegistry()
    Counter("seen", "Things.", registry=registry).inc()
    tile = tmp_path / "log" / "tile" / "0" / "000.p" / "1"
    tile.parent.mkdir(parents=True)
    tile.write_bytes(b"hash")
    (tmp_path / "signing.key").write_text("secret")
    (tmp_path / "other").write_text("secret")
    server, thread = expose("127.0.0.1:0", registry, tmp_path / "log")
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port)
    connection.request(method, path)
    response = connection.getresponse()
    status, body = response.status, response.read()
    connection.close()
    return status, body


def test_prometheus_and_the_files_of_the_log(port: int) -> None:
    status, body = get(port, "/metrics")
    assert status == 200
    assert b"seen_total 1.0" in body
    assert get(port, "/log/tile/0/000.p/1") == (200, b"hash")


@pytest.mark.parametrize(
    "path",
    [
        "/log/missing",
        "/log/",
        "/log/tile",
        "/log/../other",
        "/log/%2e%2e/other",
        "/log/../../signing.key",
        "/log/..%2f..%2fsigning.key",
        "/log//../../signing.key",
        "/log/%00",
        "/signing.key",
        "/other",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nothing_else_is_shown(port: int, path: str, method: str) -> None:
    _, body = get(port, path, method)
    assert b"secret" not in body
    assert b"000.p" not in body
