"""By when an erasure must be done: one calendar month from receipt (GDPR Art. 12(3))."""

from calendar import monthrange
from datetime import datetime, timedelta

LAST_CALL = timedelta(days=1)
"""An erasure that waits for a cohort stops waiting this long before it is due."""


def due(receive_time: datetime) -> datetime:
    """A month after a request was received (GDPR Art. 12(3))."""
    return _months_later(receive_time, 1)


def latest(first_due_time: datetime) -> datetime:
    """Two further months on, which is as far as a request may be extended (ibid.)."""
    return _months_later(first_due_time, 2)


def _months_later(time: datetime, months: int) -> datetime:
    """The same day of that month, or its last day where there is none."""
    year, month = divmod(time.year * 12 + time.month - 1 + months, 12)
    month += 1
    day = min(time.day, monthrange(year, month)[1])
    return time.replace(year=year, month=month, day=day)
