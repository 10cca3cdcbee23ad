"""The columns of a table that hold the core's features.

Either a column ``features`` of lists (Parquet), or one number a column, named f0,
f1, ... (CSV, whose cells cannot hold lists; Parquet too).
"""

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
from numpy.typing import NDArray

from unlearn_client.samples.tables import Rows

FEATURES = "features"
FEATURE_COLUMN = re.compile(r"f(0|[1-9][0-9]*)")


def has_features(rows: Rows) -> bool:
    """Whether any column holds features."""
    return FEATURES in rows.columns or bool(_numbered_columns(rows))


def feature_matrix(rows: Rows) -> NDArray[np.float32]:
    """The features of each row, (n, d).

    Raises:
        SampleFileError: something is missing or no number, or rows differ in length.
    """
    if FEATURES in rows.columns:
        return _from_lists(rows)
    return _from_columns(rows)


def _numbered_columns(rows: Rows) -> list[str]:
    names = (name for name in rows.columns if FEATURE_COLUMN.fullmatch(name))
    return sorted(names, key=lambda name: int(name[1:]))


def _from_columns(rows: Rows) -> NDArray[np.float32]:
    names = _numbered_columns(rows)
    if not names:
        raise rows.error("is missing, and so are the columns f0, f1, ...", column=FEATURES)
    for index, name in enumerate(names):
        if name != f"f{index}":
            raise rows.error("comes after a gap: features are f0, f1, ...", column=name)
    return np.stack([_floats(rows, name, rows.batch.column(name), 1) for name in names], axis=1)


def _from_lists(rows: Rows) -> NDArray[np.float32]:
    lists = rows.batch.column(FEATURES)
    if not (pa.types.is_list(lists.type) or pa.types.is_fixed_size_list(lists.type)):
        problem = "must hold lists of numbers; a CSV has columns f0, f1, ... instead"
        raise rows.error(problem, column=FEATURES)
    lengths = compute.list_value_length(lists).to_pylist()
    width = lengths[0] if lengths else 0
    for index, length in enumerate(lengths):
        if not length or length != width:
            problem = "is empty, or not as long as in the rows before"
            raise rows.error(problem, index=index, column=FEATURES)
    return _floats(rows, FEATURES, lists.flatten(), width).reshape(len(lengths), width)


def _floats(rows: Rows, column: str, values: Any, per_row: int) -> NDArray[np.float32]:
    """A column's values as numbers; ``per_row`` of them belong to each row."""
    floats = _cast(values)
    if floats is None or floats.null_count:
        bad = next(
            index
            for index in range(len(values))
            if (one := _cast(values.slice(index, 1))) is None or one.null_count
        )
        raise rows.error("is not a number", index=bad // per_row, column=column)
    numbers: NDArray[np.float32] = floats.to_numpy(zero_copy_only=False)
    return numbers


def _cast(values: Any) -> Any:
    """Values as float32, or None if one is no number."""
    try:
        return compute.cast(values, pa.float32(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
