from math import inf, isnan, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearning.magnitude import at_least, at_most

POWERS = [float(f"1e{k}") for k in range(-323, 309)]


@given(st.floats(min_value=1e-323, max_value=1e308))
def test_the_powers_of_ten_on_either_side_of_a_value(value: float) -> None:
    assert at_least(value) == min(power for power in POWERS if power >= value)
    assert at_most(value) == max(power for power in POWERS if power <= value)


def test_a_power_of_ten_is_its_own_on_both_sides() -> None:
    for power in POWERS:
        assert at_least(power) == at_most(power) == power
        assert at_least(nextafter(power, inf)) > power == at_most(nextafter(power, inf))


@pytest.mark.parametrize("value", [0.0, inf])
def test_what_has_no_powers_around_it_stays(value: float) -> None:
    assert at_least(value) == at_most(value) == value


def test_beyond_all_powers_and_of_no_number_there_is_no_bound() -> None:
    assert at_least(1.5e308) == inf
    assert at_most(5e-324) == 0
    assert isnan(at_least(float("nan")))
