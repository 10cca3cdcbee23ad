import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog

from unlearn_server.logs import configure_logs


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_writes_one_json_object_a_line_with_utc_time(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs()
    structlog.contextvars.bind_contextvars(request_id="abc")
    structlog.get_logger("ours").info("done", model="models/m")
    (line,) = lines(capsys)
    age = datetime.now(UTC) - datetime.fromisoformat(line.pop("timestamp"))
    assert abs(age.total_seconds()) < 60
    assert line == {
        "event": "done",
        "level": "info",
        "logger": "ours",
        "model": "models/m",
        "request_id": "abc",
    }


def test_standard_logging_comes_out_alike(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs()
    structlog.contextvars.bind_contextvars(request_id="abc")
    logging.getLogger("theirs").warning("%d left", 3)
    (line,) = lines(capsys)
    assert (line["event"], line["logger"], line["request_id"]) == ("3 left", "theirs", "abc")


def test_tracebacks_show_no_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs()
    person = "@".join(["ada", "example.org"])
    try:
        int(person and "")
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)
    (line,) = lines(capsys)
    assert "ValueError" in line["exception"]
    assert person not in line["exception"]
