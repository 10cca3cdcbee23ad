"""CSV and Parquet files, a batch of rows at a time.

CSV columns are read as text: guessing types would turn the id 007 into 7. Arrow's
own messages quote the row they stumble on, so none of them is passed on.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from unlearn_client.errors import SampleFileError

PARQUET_BATCH_ROWS = 1024
TABLE_SUFFIXES = frozenset({".csv", ".parquet"})


@dataclass(frozen=True)
class Rows:
    """Neighbouring rows of a file.

    Attributes:
        file: where they are from.
        first: the number of the first of them, from 1.
        batch: the ``pyarrow.RecordBatch``.
    """

    file: Path
    first: int
    batch: Any

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.batch.schema.names)

    def texts(self, column: str) -> list[str]:
        """A column as text, empty where a value or the whole column is missing."""
        if column not in self.columns:
            return [""] * len(self.batch)
        values = self.batch.column(column).to_pylist()
        return ["" if value is None else str(value) for value in values]

    def error(self, problem: str, *, index: int | None = None, column: str) -> SampleFileError:
        """An error about the row at an index of this batch, or about a whole column."""
        row = None if index is None else self.first + index
        return SampleFileError(str(self.file), problem, row=row, column=column)


def read_table(path: Path) -> Iterator[Rows]:
    """The rows of a .csv or .parquet file.

    Raises:
        SampleFileError: it is neither, cannot be read, or names a column twice.
    """
    first = 1
    for batch in _batches(path):
        names = batch.schema.names
        if len(set(names)) < len(names):
            raise SampleFileError(str(path), "two columns have the same name")
        yield Rows(path, first, batch)
        first += len(batch)


def _batches(path: Path) -> Iterator[Any]:
    readers = {".csv": _csv_batches, ".parquet": _parquet_batches}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise SampleFileError(str(path), "is neither .csv nor .parquet, nor a folder")
    try:
        yield from reader(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error):
        raise SampleFileError(str(path), f"cannot be read as {path.suffix.lower()[1:]}") from None


def _parquet_batches(path: Path) -> Iterator[Any]:
    with parquet.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=PARQUET_BATCH_ROWS)


def _csv_batches(path: Path) -> Iterator[Any]:
    uneven: list[int] = []
    text = arrow_csv.ConvertOptions(column_types=dict.fromkeys(_header(path), pa.string()))
    parse = arrow_csv.ParseOptions(
        newlines_in_values=True, invalid_row_handler=lambda row: _remember(row, uneven)
    )
    # Row numbers are known only without threads.
    read = arrow_csv.ReadOptions(use_threads=False)
    try:
        with arrow_csv.open_csv(path, read, parse, text) as batches:
            yield from batches
    except pa.ArrowInvalid:
        if not uneven:
            raise
        problem = "has more or fewer values than the header has columns"
        raise SampleFileError(str(path), problem, row=uneven[0]) from None


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file), [])


def _remember(row: Any, uneven: list[int]) -> str:
    uneven.append(row.number - 1)  # Arrow counts the header too
    return "error"
