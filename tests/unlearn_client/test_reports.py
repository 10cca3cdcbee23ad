"""What the client asks for a report, and what it makes of the answer."""

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

JANUARY = ["--from", "2026-01-01", "--to", "2026-01-31T23:30:00Z"]


@pytest.mark.parametrize(
    ("name", "words", "media_type"),
    [
        ("a.pdf", [], "application/pdf"),
        ("a.HTML", [], "text/html"),
        ("a.json", [], "application/json"),
        ("a.pdf", ["--format", "json"], "application/json"),
        ("a", ["--format", "html"], "text/html"),
    ],
)
def test_the_period_and_the_form_are_asked_for(book, run, tmp_path, name, words, media_type):
    done = run("report", *JANUARY, "--out", tmp_path / name, *words)
    assert done.exit_code == 0, done.output
    [request] = book.requests["GetReport"]
    assert request.media_type == media_type
    assert request.start_time == Timestamp(seconds=1767225600)  # date -u -d 2026-01-01 +%s
    assert request.end_time == Timestamp(seconds=1769902200)
    assert (tmp_path / name).read_bytes() == b"report"


def test_a_report_may_be_larger_than_any_other_message(book, run, tmp_path):
    book.report = bytes(64 * 2**20)
    assert run("report", *JANUARY, "--out", tmp_path / "a.json").exit_code == 0
    assert (tmp_path / "a.json").stat().st_size == 64 * 2**20


@pytest.mark.parametrize(
    "words",
    [
        ["--from", "2026-01-01", "--out", "a.pdf"],
        ["--from", "yesterday", "--to", "2026-01-01", "--out", "a.pdf"],
        [*JANUARY, "--out", "a.doc"],
        [*JANUARY, "--out", "-"],
        [*JANUARY, "--out", "missing/a.pdf"],
    ],
)
def test_what_cannot_be_asked_is_wrong_usage(book, run, words):
    assert run("report", *words).exit_code == 2
    assert not book.requests["GetReport"]


def test_a_refusal_leaves_no_file(book, run, failure, tmp_path):
    book.failures["GetReport"].append(failure(grpc.StatusCode.INVALID_ARGUMENT))
    assert run("report", *JANUARY, "--out", tmp_path / "a.pdf").exit_code == 3
    assert not (tmp_path / "a.pdf").exists()


def test_a_report_is_asked_for_again_when_the_server_was_away(book, run, failure, tmp_path):
    book.failures["GetReport"].append(failure(grpc.StatusCode.UNAVAILABLE))
    assert run("report", *JANUARY, "--out", tmp_path / "a.pdf").exit_code == 0
