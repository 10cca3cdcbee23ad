"""A log that shows two histories, or takes entries back, is caught by a checkpoint kept."""

from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import sleep

import pytest

from tests.unlearn_client.verification.logs import Key, SignedLog, statement
from unlearn_client.errors import VerificationError
from unlearn_client.verification import Verification, open_log, read_trusted, verify

LOG = SignedLog(300)
TRUSTED = read_trusted(LOG.key.pem.encode())
OLD, NEW = 5, 300


def fork(at: int, size: int) -> SignedLog:
    """The same log, but for one entry."""
    forked = SignedLog(at)
    forked.append(statement(at) | {"note": "another history"})
    for _ in range(size - at - 1):
        forked.append()
    return forked


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return LOG.publish(tmp_path_factory.mktemp("log"), OLD, 7, 299)


def verified(files, **more) -> Verification:
    verification = verify(files, TRUSTED, **more)
    assert [report.refusal for report in verification.reports] == [""] * len(verification.reports)
    return verification


def refused(files, reason: str, **more) -> None:
    (report,) = verify(files, TRUSTED, **more).reports
    assert reason in report.refusal


def test_the_same_size_needs_no_log():
    verification = verified({"b": LOG.bundle(3, 7)}, saved=LOG.checkpoint(7))
    assert "agrees with its checkpoint saved at size 7" in verification.reports[0].proven[-1]
    assert verification.checkpoint.size == 7


def test_the_same_size_with_another_root():
    saved = fork(3, 7).checkpoint()
    refused({"b": LOG.bundle(5, 7)}, "the log shows two histories", saved=saved)


@pytest.mark.parametrize("size", [OLD, 7, 299, NEW])
def test_a_log_that_grew(folder, size):
    log = open_log(str(folder), 5)
    verification = verified({"b": LOG.bundle(3, size)}, log=log, saved=LOG.checkpoint(OLD))
    assert verification.checkpoint.size == NEW
    assert "as published now, at size 300" in verification.reports[0].proven[-1]


def test_a_certificate_older_than_the_checkpoint_kept(folder):
    log = open_log(str(folder), 5)
    verification = verified({"b": LOG.bundle(3, OLD)}, log=log, saved=LOG.checkpoint(299))
    assert verification.checkpoint.size == NEW


def test_growth_must_be_shown():
    refused({"b": LOG.bundle(3, 7)}, "give --log", saved=LOG.checkpoint(OLD))
    refused({"b": LOG.bundle(3, OLD)}, "give --log", saved=LOG.checkpoint(7))


def test_without_a_checkpoint_kept_certificates_of_different_sizes_do_not_contradict():
    files = {"a": LOG.bundle(3, 7), "b": LOG.bundle(4, OLD)}
    assert verified(files).checkpoint.size == 7


def test_a_fork_in_what_was_kept(folder):
    """The log at hand is honest; the certificate is of the other history."""
    forged = fork(3, 7)
    log = open_log(str(folder), 5)
    refused({"b": forged.bundle(5)}, "two histories", log=log, saved=LOG.checkpoint(OLD))
    refused({"b": forged.bundle(5)}, "two histories", log=log)


def test_a_log_that_rewrote_what_was_kept(tmp_path):
    forged = fork(3, 300)
    log = open_log(str(forged.publish(tmp_path)), 5)
    for files in ({"b": forged.bundle(200)}, {"b": LOG.bundle(4, OLD)}):
        with pytest.raises(VerificationError, match="the log shows two histories"):
            verify(files, TRUSTED, log, LOG.checkpoint(OLD))


def test_a_log_that_was_rolled_back(tmp_path):
    shorter = SignedLog(7)
    log = open_log(str(shorter.publish(tmp_path)), 5)
    with pytest.raises(
        VerificationError, match=r"has 7 entries, and showed 300 before: it was rolled back"
    ):
        verify({"b": LOG.bundle(3, 7)}, TRUSTED, log, LOG.checkpoint(NEW))


def test_a_log_that_has_not_what_its_certificate_shows(tmp_path):
    log = open_log(str(SignedLog(7).publish(tmp_path)), 5)
    refused(
        {"b": LOG.bundle(3, 9)}, "showed 9 before: it was rolled back, or its copy is old", log=log
    )


def test_a_checkpoint_of_another_log():
    other = SignedLog(7, origin="other.example/log")
    refused({"b": LOG.bundle(3, 7)}, "in another log", saved=other.checkpoint())


def test_a_log_of_another_origin(tmp_path):
    other = SignedLog(7, origin="other.example/log")
    log = open_log(str(other.publish(tmp_path)), 5)
    refused({"b": LOG.bundle(3, 7)}, "of another log", log=log)
    (tmp_path / "keys.json").unlink()
    refused({"b": LOG.bundle(3, 7)}, "in another log", log=log)


@pytest.mark.parametrize(
    ("saved", "reason"),
    [
        (b"", "not a signed note"),
        (LOG.checkpoint(7, Key(9)), "none of the known keys"),
        (LOG.checkpoint(7).replace(b"\n7\n", b"\n6\n"), "altered"),
    ],
)
def test_a_kept_checkpoint_that_is_none(saved, reason):
    with pytest.raises(VerificationError, match=reason):
        verify({"b": LOG.bundle(3, 7)}, TRUSTED, saved=saved)


def test_a_log_whose_own_checkpoint_is_not_signed(tmp_path):
    LOG.publish(tmp_path)
    (tmp_path / "checkpoint").write_bytes(LOG.checkpoint(key=Key(9)))
    with pytest.raises(VerificationError, match="none of the known keys"):
        verify({"b": LOG.bundle(3)}, TRUSTED, open_log(str(tmp_path), 5))


def test_a_folder_that_is_no_log(tmp_path):
    with pytest.raises(VerificationError, match="it has no checkpoint"):
        verify({"b": LOG.bundle(3)}, TRUSTED, open_log(str(tmp_path), 5))


def test_altered_tiles_prove_nothing(tmp_path):
    LOG.publish(tmp_path, OLD)
    tile = tmp_path / "tile/0/000"
    tile.write_bytes(tile.read_bytes()[:-1] + b"!")
    with pytest.raises(VerificationError, match="two histories"):
        verify({"b": LOG.bundle(3)}, TRUSTED, open_log(str(tmp_path), 5), LOG.checkpoint(OLD))


# Over HTTP.


class Website(BaseHTTPRequestHandler):
    """Serves a folder below /log, and misbehaves elsewhere."""

    folder: Path

    def do_GET(self) -> None:
        place, _, path = self.path[1:].partition("/")
        file = self.folder / path
        if place == "log" and file.is_file():
            self._answer(200, file.read_bytes())
        elif place == "big":
            self._answer(200, bytes(2**20))
        elif place == "broken":
            self._answer(500, b"")
        elif place == "file":
            self._answer(302, b"", Location=f"file://{self.folder}/{path}")
        elif place == "endless":
            self._pour(bytes(2**16), pause=0)
        elif place == "trickle":
            self._pour(b"x", pause=0.05)
        elif place == "cut":
            self._answer(200, b"x", length=1000)
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes, length: int | None = None, **headers) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _pour(self, piece: bytes, pause: float) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):  # the other side has had enough
            while True:
                self.wfile.write(piece)
                sleep(pause)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def website(folder) -> str:
    Website.folder = folder
    server = ThreadingHTTPServer(("127.0.0.1", 0), Website)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_log_on_the_web(website):
    log = open_log(f"{website}/log/", 5)
    verified({"b": LOG.bundle(3, 7)}, log=log, saved=LOG.checkpoint(OLD))


@pytest.mark.parametrize(
    ("place", "reason"),
    {
        "nowhere": "it has no checkpoint",
        "big": "keys.json is not proper JSON",
        "broken": "HTTP status 500",
        "file": "HTTP status 302|cannot be fetched",
    }.items(),
)
def test_a_website_that_is_no_log(website, place, reason):
    with pytest.raises(VerificationError, match=reason):
        verify({"b": LOG.bundle(3)}, TRUSTED, open_log(f"{website}/{place}", 5))


def test_an_answer_is_not_read_further_than_it_may_be_long(website):
    for place in ("big", "endless"):
        with pytest.raises(VerificationError, match="larger than 96 bytes"):
            open_log(f"{website}/{place}", 5).consistency_proof(1, 3)


def test_an_answer_that_trickles_is_given_up(website):
    with pytest.raises(VerificationError, match="takes too long"):
        open_log(f"{website}/trickle", 0.3).consistency_proof(1, 3)


def test_an_answer_that_breaks_off_is_no_log(website):
    with pytest.raises(VerificationError):
        verify({"b": LOG.bundle(3)}, TRUSTED, open_log(f"{website}/cut", 1))


def test_a_website_that_is_not_there():
    with pytest.raises(VerificationError, match="cannot be fetched"):
        verify({"b": LOG.bundle(3)}, TRUSTED, open_log("http://127.0.0.1:1/log", 1))


def test_no_other_kind_of_url_is_opened(tmp_path):
    LOG.publish(tmp_path)
    with pytest.raises(VerificationError, match="no checkpoint"):
        verify({"b": LOG.bundle(3)}, TRUSTED, open_log(f"file://{tmp_path}", 1))
