"""Makes reports: which media types there are, and one at a time."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from threading import Lock

from unlearn_server.ledger.database import Database
from unlearn_server.reports import as_html, as_json, as_pdf
from unlearn_server.reports.collecting import collect
from unlearn_server.reports.report import Period, Report

FORMS: Mapping[str, Callable[[Report], bytes]] = {
    "application/json": as_json.render,
    "application/pdf": as_pdf.render,
    "text/html": as_html.render,
}
"""What renders a media type."""


class Reporter:
    """Reads the ledger. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # A large one takes hundreds of megabytes: a second one waits.
        self._turn = Lock()

    def report(self, start: datetime, end: datetime, media_type: str) -> bytes:
        """The report on [start, end) as the ledger knows it now, in one of ``FORMS``."""
        with self._turn:
            with self._database.read() as conn:
                report = collect(conn, Period(start, end, datetime.now(UTC)))
            return FORMS[media_type](report)
