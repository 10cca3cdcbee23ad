"""The lattices against rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unlearning.lattice import LARGEST_BOUND, TARGETS, feature_lattice

BOUNDS = st.floats(1.0, LARGEST_BOUND)
SINGLES = st.floats(allow_nan=False, allow_infinity=False, width=32)


def around_powers_of_two() -> list[float]:
    powers = 2.0 ** np.arange(15)
    bounds = np.concatenate([np.nextafter(powers, 0), powers, np.nextafter(powers, np.inf)])
    return [float(bound) for bound in bounds if 1 <= bound <= LARGEST_BOUND]


@given(BOUNDS)
def test_the_constant_one_is_on_the_lattice_of_every_bound(bound: float) -> None:
    lattice = feature_lattice(bound)
    one = int(lattice.round(1.0))
    assert Fraction(lattice.step) * one == 1


@pytest.mark.parametrize("bound", around_powers_of_two())
def test_the_constant_one_is_on_the_lattice_beside_each_power_of_two(bound: float) -> None:
    lattice = feature_lattice(bound)
    assert int(lattice.round(1.0)) * lattice.step == 1


@given(BOUNDS)
def test_a_lattice_stays_within_its_bound_and_15_bits_and_uses_14(bound: float) -> None:
    lattice = feature_lattice(bound)
    assert Fraction(lattice.step) * lattice.limit <= Fraction(bound)
    assert Fraction(lattice.step) * (lattice.limit + 1) > Fraction(bound)
    assert 2**13 <= lattice.limit <= 2**14


@given(BOUNDS, st.one_of(SINGLES, st.floats(-(2.0**15), 2.0**15)))
@example(1.0, 2.0**-15)
@example(1.0, 3 * 2.0**-15)
def test_rounding_takes_the_nearest_lattice_point_within_the_limit(
    bound: float, value: float
) -> None:
    lattice = feature_lattice(bound)
    point = int(lattice.round(value))
    exact = Fraction(value) / Fraction(lattice.step)
    clipped = max(Fraction(-lattice.limit), min(exact, Fraction(lattice.limit)))
    assert abs(point) <= lattice.limit
    assert abs(clipped - point) <= Fraction(1, 2)


@given(BOUNDS, st.integers(-(2**14), 2**14))
def test_lattice_points_round_to_themselves(bound: float, point: int) -> None:
    lattice = feature_lattice(bound)
    expected = max(-lattice.limit, min(point, lattice.limit))
    assert lattice.round(point * lattice.step) == expected


def test_targets_reach_64() -> None:
    assert TARGETS.limit * TARGETS.step == 64
    assert TARGETS.round([1e30, -1e30]).tolist() == [2**18, -(2**18)]
