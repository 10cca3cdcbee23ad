import hashlib
import struct

import numpy as np
import pytest

from unlearning.cores import core_digest

DESCRIPTION = {"scale": 0.5, "name": "é"}
WEIGHTS = {"w": np.array([[1, -2]], np.float32), "a": np.array(7, np.int64)}
DIGEST = core_digest(DESCRIPTION, WEIGHTS)


def test_is_the_sha256_of_the_canonical_json_written_by_hand():
    w = hashlib.sha256(struct.pack("<2f", 1, -2)).hexdigest()
    a = hashlib.sha256(struct.pack("<q", 7)).hexdigest()
    text = (
        '{"description":{"name":"é","scale":0.5},"weights":{'
        f'"a":{{"dtype":"int64","sha256":"{a}","shape":[]}},'
        f'"w":{{"dtype":"float32","sha256":"{w}","shape":[1,2]}}}}}}'
    )
    assert hashlib.sha256(text.encode()).hexdigest() == DIGEST


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param(dict(reversed(WEIGHTS.items())), id="order of tensors"),
        pytest.param({**WEIGHTS, "w": WEIGHTS["w"].astype(">f4")}, id="byte order"),
        pytest.param({**WEIGHTS, "w": np.array([[1, 0, -2]], np.float32)[:, ::2]}, id="strides"),
    ],
)
def test_same_weights_laid_out_otherwise_have_the_same_digest(weights):
    assert core_digest(DESCRIPTION, weights) == DIGEST


def test_memory_order_of_a_matrix_does_not_matter():
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert core_digest({}, {"w": matrix}) == core_digest({}, {"w": np.asfortranarray(matrix)})


@pytest.mark.parametrize(
    ("description", "weights"),
    [
        pytest.param({**DESCRIPTION, "scale": 0.25}, WEIGHTS, id="description"),
        pytest.param(DESCRIPTION, {**WEIGHTS, "w": -WEIGHTS["w"]}, id="values"),
        pytest.param(DESCRIPTION, {**WEIGHTS, "w": WEIGHTS["w"].T}, id="shape"),
        pytest.param(DESCRIPTION, {**WEIGHTS, "w": WEIGHTS["w"].view(np.int32)}, id="dtype"),
        pytest.param(DESCRIPTION, {"v": WEIGHTS["w"], "a": WEIGHTS["a"]}, id="name"),
        pytest.param(DESCRIPTION, {"w": WEIGHTS["w"]}, id="missing tensor"),
    ],
)
def test_any_change_changes_the_digest(description, weights):
    assert core_digest(description, weights) != DIGEST
