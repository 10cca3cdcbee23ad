import numpy as np
import pytest

from unlearning.cores import load
from unlearning.errors import InvalidInputError

CORE = load("features:3")
ROWS = np.array([[1, 2, 3], [-4, 0.5, 1e30]], np.float32)


@pytest.mark.parametrize("feature_map", ["", "identity"])
def test_rows_pass_through_and_end_in_one(feature_map):
    psi = CORE.extract(feature_map, ROWS)
    assert psi.dtype == np.float32
    assert psi.tolist() == [[*row, 1] for row in ROWS.tolist()]


def test_no_rows_give_no_rows():
    assert CORE.extract("", np.zeros((0, 3), np.float32)).shape == (0, 4)


def test_the_rows_sent_are_not_changed():
    rows = ROWS.copy()
    CORE.extract("", rows)[:] = 0
    assert (rows == ROWS).all()


@pytest.mark.parametrize("features", [1, 512, 8191])
def test_width_counts_the_constant(features):
    core = load(f"features:{features}")
    assert core.name == f"features:{features}"
    assert core.input == "features"
    assert core.width(core.feature_map) == core.width("") == features + 1


def test_the_only_map_is_identity():
    assert CORE.resolve("") == CORE.resolve("identity") == CORE.feature_map == "identity"


@pytest.mark.parametrize("use", [CORE.resolve, CORE.width, lambda name: CORE.extract(name, ROWS)])
def test_other_maps_are_refused(use):
    with pytest.raises(InvalidInputError, match=r"no feature map '7:4x4'; .*identity") as error:
        use("7:4x4")
    assert error.value.field == "user_weights.feature_map"


@pytest.mark.parametrize(
    "argument", ["", "0", "-1", "8192", "99999", "03", "3.0", "3 ", "³", "٣", "3:3", "three"]
)
def test_d_must_be_a_number_from_1_to_8191(argument):
    with pytest.raises(InvalidInputError, match="between 1 and 8191") as error:
        load(f"features:{argument}")
    assert error.value.field == "core"


def test_d_must_be_given():
    with pytest.raises(InvalidInputError, match="between 1 and 8191"):
        load("features")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_refused_with_its_row(value):
    rows = np.zeros((5, 3), np.float32)
    rows[3, 1] = rows[4, 0] = value
    with pytest.raises(InvalidInputError, match="not finite") as error:
        CORE.extract("", rows)
    assert (error.value.field, error.value.row) == ("features", 3)


@pytest.mark.parametrize("width", [0, 2, 4])
def test_rows_of_another_width_are_refused(width):
    with pytest.raises(InvalidInputError, match=f"has {width} features; .* 3 float32") as error:
        CORE.extract("", np.zeros((2, width), np.float32))
    assert (error.value.field, error.value.row) == ("features", 0)


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param([b"an image"], id="bytes"),
        pytest.param(np.zeros(3, np.float32), id="a vector"),
        pytest.param(np.zeros((1, 3)), id="float64"),
    ],
)
def test_what_is_not_a_float32_matrix_is_refused(samples):
    with pytest.raises(InvalidInputError, match="rows of 3 float32 numbers") as error:
        CORE.extract("", samples)
    assert (error.value.field, error.value.row) == ("features", None)


def test_digest_is_pinned_and_depends_on_d():
    assert CORE.digest == "0c7e45e66d06c2e9d196f59c2e9cee0c5c72d31f85fc7466a1cb94e3314f4934"
    assert load("features:4").digest != CORE.digest
