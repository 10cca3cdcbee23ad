"""The ridge that samples are valued under."""

import pytest

from unlearn.v1.valuation_pb2 import Derivative
from unlearn_client.cli.calibration import FACTORS, calibrate

OWN = 10.0


def chosen(alarms: dict[float, int], core: int = 40, epsilon: float = 0.5) -> float:
    """By the number of CORE samples above epsilon under each ridge; users' count for nothing."""
    asked = []

    def values_under(ridge: float) -> list[Derivative]:
        asked.append(ridge)
        count = alarms.get(round(ridge / OWN, 9), core)
        known = [Derivative(derivative=1.0 if i < count else 0.5, core=True) for i in range(core)]
        return [*known, *[Derivative(derivative=9.0)] * 100]

    ridge, values = calibrate(values_under, OWN, epsilon)
    assert asked == sorted(set(asked))
    assert asked[-1] == ridge
    assert values == values_under(ridge)
    return ridge / OWN


def test_it_is_the_least_under_which_one_in_twenty_is_a_false_alarm() -> None:
    assert chosen({1.0: 2}) == 1
    assert chosen({1.0: 3, 3.0: 3, 10.0: 2, 30.0: 0}) == pytest.approx(10)


def test_it_is_the_strongest_if_all_give_more() -> None:
    assert chosen({}) == FACTORS[-1]


def test_it_is_the_models_own_where_too_few_samples_are_known_to_be_right() -> None:
    assert chosen({}, core=19) == 1
    assert chosen({}, core=0) == 1
    assert chosen({1.0: 2, 3.0: 1}, core=20) == pytest.approx(3)
