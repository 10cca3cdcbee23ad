"""Copies tables from one database to another, whichever each is."""

from collections.abc import Callable, Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection, Table

_ROWS_AT_ONCE = 1000

Progress = Callable[[int, int], None]
"""Told how many rows are copied, and of how many."""


def copy(
    source: Connection, target: Connection, tables: Sequence[Table], progress: Progress
) -> None:
    """Copies all rows of tables, which come after those that they refer to."""
    total, done = sum(_count(source, table) for table in tables), 0
    for table in tables:
        for rows in _blocks(source, table):
            target.execute(sa.insert(table), rows)
            done += len(rows)
            progress(done, total)


def is_empty(conn: Connection, tables: Iterable[Table]) -> bool:
    """Whether no table has a row."""
    return not any(_count(conn, table) for table in tables)


def _count(conn: Connection, table: Table) -> int:
    return conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def _blocks(conn: Connection, table: Table) -> Iterable[list[dict[str, object]]]:
    query = sa.select(table).order_by(*table.primary_key)
    found = conn.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE})
    for rows in found.mappings().partitions():
        yield [dict(row) for row in rows]
