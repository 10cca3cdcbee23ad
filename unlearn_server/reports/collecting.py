"""Reads a period's report from the ledger, in one transaction."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from unlearn_server import software
from unlearn_server.ledger import holds, log
from unlearn_server.ledger.log import LoggedKey
from unlearn_server.ledger.schema import erasures, models, outcomes
from unlearn_server.log import envelopes
from unlearn_server.reports.report import Closed, KeyUse, LogHead, Open, Period, Report
from unlearning.information import InformationBound

_REQUEST = (
    erasures.c.request_id,
    erasures.c.state,
    erasures.c.regulation,
    erasures.c.receive_time,
    erasures.c.due_time,
    erasures.c.complete_time,
)
_WITH_OUTCOMES = (
    sa.select(
        outcomes.c.leaf_index,
        *_REQUEST,
        models.c.model_id,
        outcomes.c.method,
        outcomes.c.erased_samples,
        outcomes.c.bound,
        erasures.c.key,
    )
    .select_from(
        erasures.outerjoin(outcomes, outcomes.c.erasure_key == erasures.c.key).outerjoin(
            models, models.c.key == outcomes.c.model_key
        )
    )
    .where(sa.or_(outcomes.c.key.is_not(None), erasures.c.refusal_leaf.is_(None)))
)
# Of a request that was done in one model and refused then, the refusal is a row of its own.
_REFUSED = sa.select(erasures.c.refusal_leaf, *_REQUEST, *[sa.null()] * 4, erasures.c.key).where(
    erasures.c.refusal_leaf.is_not(None)
)
_OPEN = (
    sa.select(erasures, outcomes.c.leaf_index)
    .select_from(erasures.outerjoin(outcomes, outcomes.c.erasure_key == erasures.c.key))
    .order_by(erasures.c.due_time, erasures.c.key, outcomes.c.leaf_index)
)


def collect(conn: Connection, period: Period) -> Report:
    """The report on a period; ``conn`` sees one moment throughout."""
    closed = _closed(conn, period)
    indices = [each.certificate for each in closed if each.certificate is not None]
    return Report(
        period=period,
        open_at_start=_count(conn, _open_at(period.start)),
        received=_count(conn, _within(erasures.c.receive_time, period)),
        closed=tuple(closed),
        open=tuple(_open(conn, period.seen)),
        holds=tuple(holds.within(conn, period.start, period.seen)),
        log=_log(conn, indices),
        software=software.running(),
    )


def _closed(conn: Connection, period: Period) -> list[Closed]:
    is_inside = _within(erasures.c.complete_time, period)
    both = _WITH_OUTCOMES.where(is_inside).union_all(_REFUSED.where(is_inside))
    rows = conn.execute(
        both.order_by(both.selected_columns.leaf_index.nulls_last(), both.selected_columns.key),
        execution_options={"yield_per": 1000},
    )
    # As a rule they are few, and a report has a hundred thousand rows.
    same: dict[InformationBound, InformationBound] = {}
    return [
        Closed(
            *row[:9],
            erased_samples=row[9] or 0,
            bound=row[10] and same.setdefault(row[10], row[10]),
        )
        for row in rows
    ]


def _open(conn: Connection, time: datetime) -> list[Open]:
    rows = conn.execute(_OPEN.where(_open_at(time)))
    return [_open_one(list(group)) for _, group in groupby(rows, lambda row: row.key)]


def _open_one(rows: Sequence[sa.Row[Any]]) -> Open:
    """One request, of the rows with its outcomes."""
    leaves = [*(row.leaf_index for row in rows), rows[0].refusal_leaf]
    return Open(
        *(rows[0].request_id, rows[0].state, rows[0].receive_time, rows[0].due_time),
        tuple(leaf for leaf in leaves if leaf is not None),
    )


def _within(time: sa.Column[datetime], period: Period) -> ColumnElement[bool]:
    return sa.and_(time >= period.start, time < period.seen)


def _open_at(time: datetime) -> ColumnElement[bool]:
    closed = erasures.c.complete_time
    return sa.and_(erasures.c.receive_time < time, sa.or_(closed.is_(None), closed >= time))


def _count(conn: Connection, condition: ColumnElement[bool]) -> int:
    counted = sa.select(sa.func.count()).select_from(erasures).where(condition)
    return conn.execute(counted).scalar_one()


def _log(conn: Connection, indices: Sequence[int]) -> LogHead:
    """The log, and those of its keys that signed around ``indices``, or sign now."""
    head = log.head(conn)
    return LogHead(
        origin=head.origin,
        size=head.frontier.size,
        root=head.frontier.root.hex(),
        checkpoint=head.checkpoint,
        keys=tuple(_keys(head.origin, log.keys(conn), indices)),
    )


def _keys(origin: str, keys: Sequence[LoggedKey], indices: Sequence[int]) -> list[KeyUse]:
    used = []
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        # The key before signs the endorsement, the last leaf before the next one's first.
        last = following.first_index - 1 if following else None
        until = len(indices) if last is None else bisect_left(indices, last + 1)
        count = until - bisect_left(indices, key.first_index)
        if count or last is None or bisect_left(indices, key.first_index) not in {0, len(indices)}:
            used.append(_use(origin, key, last, count))
    return used


def _use(origin: str, key: LoggedKey, last: int | None, count: int) -> KeyUse:
    key_id, verifier = envelopes.key_id(key.verifying), str(key.verifier_key(origin))
    return KeyUse(key_id, verifier, key.first_index, last, count)
