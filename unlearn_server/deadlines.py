"""By when an erasure must be done: one calendar month from receipt (GDPR Art. 12(3))."""

from calendar import monthrange
from datetime import datetime, timedelta

LAST_CALL = timedelta(days=1)
"""An erasure that waits for a cohort stops waiting this long before it is due."""


def due(receive_time: datetime) -> datetime:
    """The same day of the next month, or its last day where there is none."""
    year, month = divmod(receive_time.year * 12 + receive_time.month, 12)
    month += 1
    day = min(receive_time.day, monthrange(year, month)[1])
    return receive_time.replace(year=year, month=month, day=day)
