from datetime import UTC, datetime

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from unlearn_server import deadlines

times = st.datetimes(
    min_value=datetime(1970, 1, 1),  # hypothesis adds the zone
    max_value=datetime(9998, 12, 31),
    timezones=st.just(UTC),
)


@given(times)
def test_calendar_months_are_those_of_another_calendar(time: datetime) -> None:
    assert deadlines.due(time) == time + relativedelta(months=1)
    assert deadlines.latest(time) == time + relativedelta(months=2)


@pytest.mark.parametrize(
    ("received", "due", "latest"),
    [
        ((2026, 1, 31), (2026, 2, 28), (2026, 4, 28)),
        ((2028, 1, 31), (2028, 2, 29), (2028, 4, 29)),
        ((2026, 12, 1), (2027, 1, 1), (2027, 3, 1)),
        ((2026, 11, 30), (2026, 12, 30), (2027, 2, 28)),
    ],
)
def test_the_last_day_stands_for_days_that_a_month_lacks(
    received: tuple[int, int, int], due: tuple[int, int, int], latest: tuple[int, int, int]
) -> None:
    first = deadlines.due(datetime(*received, 7, tzinfo=UTC))
    assert first == datetime(*due, 7, tzinfo=UTC)
    assert deadlines.latest(first) == datetime(*latest, 7, tzinfo=UTC)
