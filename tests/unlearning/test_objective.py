"""The objective: its units, its checks and its JSON form."""

import json
from collections.abc import Callable
from fractions import Fraction
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlearning.errors import InvalidInputError
from unlearning.lattice import LARGEST_BOUND, TARGETS
from unlearning.objective import (
    GRID_BITS,
    LARGEST_CLASSES,
    LARGEST_ENTRANCE,
    LARGEST_WIDTH,
    Noise,
    Objective,
)

Make = Callable[..., Objective]
BOUNDS = st.floats(1.0, LARGEST_BOUND)
quickly = settings(max_examples=50)


@given(BOUNDS, st.floats(0.0, 1.0))
@quickly
def test_the_ridge_is_odd_and_nearest_in_lattice_units(
    objective_of: Make, bound: float, where: float
) -> None:
    square = objective_of(feature_bound=bound).features.step ** 2
    ridge = square * 2.0 ** (51 * where)
    objective = objective_of(feature_bound=bound, ridge=ridge)
    assert objective.ridge % 2 == 1
    assert abs(Fraction(objective.ridge_in_real_units) - Fraction(ridge)) <= Fraction(square) / 2
    assert objective.ridge < 2**53


@given(BOUNDS, st.integers(-(2**52), 2**52))
@quickly
def test_real_weights_are_exact(objective_of: Make, bound: float, released: int) -> None:
    objective = objective_of(feature_bound=bound)
    real = objective.weights(np.array([[released]]))
    unit = Fraction(TARGETS.step) / Fraction(objective.features.step) / 2**GRID_BITS
    assert Fraction(float(real[0, 0])) == released * unit


@given(BOUNDS, st.floats(2.0**-4, 64.0), st.integers(1, 5))
@quickly
def test_json_and_back_is_the_same_objective(
    objective_of: Make, bound: float, label_scale: float, classes: int
) -> None:
    objective = objective_of(classes=classes, feature_bound=bound, label_scale=label_scale)
    assert Objective.from_json(json.loads(json.dumps(objective.to_json()))) == objective


def test_the_json_of_a_model_without_scope_and_noise_is_what_it_was_before_there_were_any(
    objective_of: Make,
) -> None:
    assert json.dumps(objective_of().to_json()) == (
        '{"core_digest": "' + "0f" * 32 + '", "feature_map": "pooled", "width": 3, '
        '"feature_bound": 1.0, "ridge": 536870913, "label_scale": 61440, '
        '"classes": ["class 0", "class 1"]}'
    )


@pytest.mark.parametrize(
    "grown",
    [
        {"tangent_scope": "last:2"},
        {"noise_scale": 0.25},
        {"tangent_scope": "all", "noise_scale": 1e-3, "noise": Noise.INVERSE_HESSIAN},
    ],
    ids=str,
)
def test_what_is_not_the_default_is_in_the_json_and_comes_back(
    objective_of: Make, grown: dict[str, object]
) -> None:
    objective = objective_of(**grown)
    values = json.loads(json.dumps(objective.to_json()))
    assert values == {**objective_of().to_json(), **grown}
    assert Objective.from_json(values) == objective
    assert Objective.from_json({**values, "noise": objective.noise}) == objective


def test_a_default_is_the_same_whether_it_was_named_or_not(objective_of: Make) -> None:
    named = objective_of(tangent_scope="", noise_scale=0.0, noise=Noise.ISOTROPIC)
    assert named.to_json() == objective_of().to_json()
    assert named == objective_of(noise=Noise.ISOTROPIC)


@pytest.mark.parametrize("value", [nan, inf, -inf, -1.0, -5e-324])
def test_a_noise_scale_that_is_no_standard_deviation_is_refused_by_name(
    objective_of: Make, value: float
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        objective_of(noise_scale=value)
    assert refused.value.field == "user_weights.noise_scale"


def test_without_a_scale_there_is_no_kind_of_noise(objective_of: Make) -> None:
    assert objective_of(noise=Noise.INVERSE_HESSIAN) == objective_of()


@pytest.mark.parametrize(
    ("scope", "limit", "field"),
    [("", LARGEST_WIDTH, "feature_map"), ("all", LARGEST_ENTRANCE, "tangent_scope")],
)
def test_rows_may_be_so_wide_and_no_wider(
    objective_of: Make, scope: str, limit: int, field: str
) -> None:
    assert objective_of(width=limit, tangent_scope=scope).width == limit
    with pytest.raises(InvalidInputError, match=f"at most {limit}") as refused:
        objective_of(width=limit + 1, tangent_scope=scope)
    assert refused.value.field == f"user_weights.{field}"


@pytest.mark.parametrize("scope", ["", "all"])
def test_a_real_ridge_is_met_to_a_millionth(objective_of: Make, scope: str) -> None:
    for ridge in (0.5, 1 / 3, 100.0, 12345.678):
        objective = objective_of(feature_bound=8.0, ridge=ridge, tangent_scope=scope)
        assert objective.ridge_in_real_units == pytest.approx(ridge, rel=1e-6)


def test_targets_are_alpha_times_one_hot(objective_of: Make) -> None:
    targets = objective_of(classes=3, label_scale=15.0).targets([2, 0])
    assert (targets * TARGETS.step).tolist() == [[0, 0, 15], [15, 0, 0]]


def test_logits_are_the_inner_product_in_real_units(objective_of: Make) -> None:
    objective = objective_of(width=2, feature_bound=4.0)
    psi = objective.features.round([[0.5, 1.0], [-2.0, 1.0]])
    logits = objective.logits(psi, np.array([[1.0, 2.0], [3.0, -4.0]]))
    assert logits.tolist() == [[3.5, -3.0], [1.0, -8.0]]


@pytest.mark.parametrize("value", [nan, inf, -inf, -1.0, 0.0, 1e-30, 1e30])
@pytest.mark.parametrize("field", ["feature_bound", "ridge", "label_scale"])
def test_a_number_out_of_range_is_refused_by_name(
    objective_of: Make, field: str, value: float
) -> None:
    with pytest.raises(InvalidInputError, match="out of range") as refused:
        objective_of(**{field: value})
    assert refused.value.field == f"user_weights.{field}"


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("feature_bound", 1.0, 2.0**14),
        ("label_scale", 2.0**-4, 2.0**6),
        ("ridge", 2.0**-28, 2.0**23),
    ],
)
def test_a_range_includes_its_ends_and_no_more(
    objective_of: Make, field: str, low: float, high: float
) -> None:
    for end, beyond in ((low, np.nextafter(low, -inf)), (high, np.nextafter(high, inf))):
        objective_of(**{"ridge": 1e6 if field == "feature_bound" else 1.0, field: end})
        with pytest.raises(InvalidInputError):
            objective_of(**{field: float(beyond)})


@pytest.mark.parametrize(
    "classes",
    [(), ("a", "a"), ("a", ""), tuple(map(str, range(LARGEST_CLASSES + 1)))],
    ids=["none", "twice", "empty", "too many"],
)
def test_unusable_classes_are_refused_by_name(classes: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        Objective.create("00", "pooled", 3, 1.0, 1.0, 15.0, classes)
    assert refused.value.field == "classes"
