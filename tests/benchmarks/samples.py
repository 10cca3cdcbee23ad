"""Rows as the service is sent them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearn.v1.model_pb2 import Features, Sample


def samples(
    rows: Iterable[tuple[NDArray[np.float32], np.integer[Any]]],
    subject_of: Callable[[int], str],
    first: int = 0,
) -> Iterator[Sample]:
    """A sample of each row of features with its label; row i is called ``sample i``."""
    for i, (row, label) in enumerate(rows, first):
        yield Sample(
            sample_id=f"sample {i}",
            subject_id=subject_of(i),
            features=Features(values=row.tolist()),  # the fastest way into a repeated float
            label=int(label),
        )
