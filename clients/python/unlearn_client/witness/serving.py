"""The witness over HTTP: ``/add-checkpoint`` and ``/<origin hash>/checkpoint``."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from unlearn_client.errors import WitnessError
from unlearn_client.witness.cosigning import Answer, Cosigner
from unlearn_client.witness.requests import MAX_REQUEST_BYTES

_CHECKPOINT = re.compile(r"/([0-9a-f]{64})/checkpoint")

_log = logging.getLogger(__name__)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    timeout = 30  # seconds that a client may say nothing

    def __init__(self, cosigner: Cosigner, *args: Any) -> None:
        self._cosigner = cosigner
        super().__init__(*args)

    def do_POST(self) -> None:  # http.server's
        """Cosigns, or says why not."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,9}", length):
            self._refuse(HTTPStatus.LENGTH_REQUIRED)
        elif int(length) > MAX_REQUEST_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif self.path != "/add-checkpoint":
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            self._add_checkpoint(self.rfile.read(int(length)))

    def do_GET(self) -> None:  # http.server's
        """Shows what was cosigned last."""
        if match := _CHECKPOINT.fullmatch(self.path):
            self._answer(self._cosigner.newest(match[1]))
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def _add_checkpoint(self, body: bytes) -> None:
        try:
            answer = self._cosigner.add_checkpoint(body)
        except OSError:
            _log.exception("what was to be signed could not be stored, so it was not signed")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        _log.info("add-checkpoint: %d %s", answer.status, answer.body.strip())
        self._answer(answer)

    def _refuse(self, status: HTTPStatus) -> None:
        # What may still be on its way is not read, so the connection is of no more use.
        self.close_connection = True
        self._answer(Answer(status, f"{status.phrase}\n"))

    def _answer(self, answer: Answer) -> None:
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.media_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # http.server's
        """Says nothing; what was asked for and answered is logged already."""


@contextmanager
def serving(cosigner: Cosigner, address: str) -> Iterator[int]:
    """Serves at ``host:port`` until the end, and says at which port; 0 takes a free one.

    Raises:
        WitnessError: the address cannot be used.
    """
    host, _, port = address.rpartition(":")
    try:
        server = ThreadingHTTPServer((host, int(port)), partial(_Handler, cosigner))
    except (OSError, ValueError, OverflowError) as error:
        message = f"cannot listen at {address}; name a free host:port"
        raise WitnessError(f"--listen: {message}") from error
    thread = Thread(target=server.serve_forever, name="witness")
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
