"""AuditService: reports on a period, for people."""

from datetime import datetime

from unlearn.v1.audit_pb2 import GetReportRequest
from unlearn_client.connection import Connection

MEDIA_TYPES = {"pdf": "application/pdf", "html": "text/html", "json": "application/json"}
"""The forms of a report, by the endings of their files."""


class ReportCalls(Connection):
    """Calls for reports."""

    def get_report(self, start: datetime, end: datetime, media_type: str) -> bytes:
        """The report on what was asked and done from a time until before another.

        Args:
            start: aware, not in the future.
            end: aware, after ``start``; a report on a period that has not ended is preliminary.
            media_type: one of ``MEDIA_TYPES``.

        Raises:
            UnlearnError: the service refused it, or did not answer in time.
        """
        request = GetReportRequest(media_type=media_type)
        request.start_time.FromDatetime(start)
        request.end_time.FromDatetime(end)
        return self._call(self._audits.GetReport, request).content
