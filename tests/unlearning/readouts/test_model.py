"""What may be asked of samples."""

import numpy as np
import pytest

from unlearning.errors import InvalidInputError
from unlearning.readouts.model import Samples

LABELS, IS_CORE = np.zeros(10, np.int64), np.arange(10) < 3


def rows(*indices: int) -> np.ndarray:
    return np.array(indices, np.intp)


def test_what_is_neither_erased_nor_tested_on_stays() -> None:
    samples = Samples.of(LABELS, IS_CORE, [rows(5), rows(4, 8)], rows(9, 0))
    assert samples.core.tolist() == [1, 2]
    assert samples.user.tolist() == [3, 6, 7]
    assert samples.retained.tolist() == [1, 2, 3, 6, 7]
    assert samples.erased.tolist() == [5, 4, 8]
    assert [request.tolist() for request in samples.requests] == [[5], [4, 8]]


@pytest.mark.parametrize(
    ("requests", "test", "field"),
    [
        ([], (8, 9), "erased"),
        ([rows()], (8, 9), "erased"),
        ([rows(4)], (9,), "test"),
        ([rows(*range(3, 8))], (0, 1, 8, 9), "retained"),
        ([rows(4), rows(4)], (8, 9), "rows"),
        ([rows(4)], (4, 9), "rows"),
        ([rows(4)], (9, 9), "rows"),
        ([rows(4, 2)], (8, 9), "erased"),
    ],
)
def test_parts_that_cannot_be_used_are_refused(
    requests: list[np.ndarray], test: tuple[int, ...], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        Samples.of(LABELS, IS_CORE, requests, rows(*test))
    assert refused.value.field == field
