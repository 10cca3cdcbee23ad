"""Samples and the wrapped keys that open them, kept apart and erased together.

Whoever changes them has raised the model's version (``models.bump``), which also holds
off other writers of that model. Every change brings the model's counts up to date: they
always equal COUNT(*).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from unlearn_server.domain import (
    NewSample,
    Retention,
    Sealed,
    Selection,
    SelectionKind,
    StoredSample,
)
from unlearn_server.ledger.batches import batches
from unlearn_server.ledger.models import tally
from unlearn_server.ledger.schema import models, sample_keys, samples


class Listed(NamedTuple):
    """A sample without its payload."""

    key: int
    sample_hash: bytes
    subject_hash: bytes | None
    retention: Retention


_Row = Sequence[Any]
_Queries = dict[SelectionKind, sa.Select[Any]]


def _by_name(query: sa.Select[Any]) -> _Queries:
    """A query for samples of some hashes, by what these name; its rows end with the hash."""
    columns = {
        SelectionKind.SUBJECTS: samples.c.subject_hash,
        SelectionKind.SAMPLES: samples.c.sample_hash,
    }
    return {
        kind: query.add_columns(column).where(column.in_(_HASHES))
        for kind, column in columns.items()
    }


_HASHES: sa.BindParameter[Any] = sa.bindparam("hashes", expanding=True)
_MINE = samples.c.model_key == sa.bindparam("of_model")
_USERS = _MINE & (samples.c.retention == Retention.USER)

_STORED = (
    sa.select(
        samples.c.key,
        samples.c.sample_hash,
        samples.c.subject_hash,
        samples.c.retention,
        samples.c.payload,
        sample_keys.c.wrapped_key,
        sample_keys.c.master_id,
    )
    .join(sample_keys)
    .where(_MINE)
)
_STREAM = (
    _STORED.where(samples.c.key > sa.bindparam("after"))
    .order_by(samples.c.key)
    .limit(sa.bindparam("block"))
)
_LISTED = (
    sa.select(samples.c.key, samples.c.sample_hash, samples.c.subject_hash, samples.c.retention)
    .where(_MINE)
    .order_by(samples.c.key)
)
_OF_KEYS = _STORED.where(samples.c.key.in_(sa.bindparam("keys", expanding=True)))
_MATCHING = _by_name(_STORED)
_HOLDERS = _by_name(sa.select(models.c.model_id, samples.c.retention).distinct().join(samples))
_USERS_NAMED = _by_name(sa.select(samples.c.key, samples.c.subject_hash).where(_USERS))
_USERS_COUNTED = sa.select(sa.func.count(), sa.func.count(samples.c.subject_hash.distinct())).where(
    _USERS
)
_USER_KEYS = sa.select(samples.c.key).where(_USERS)
_KNOWN = sa.select(samples.c.sample_hash, samples.c.content_hash).where(
    _MINE, samples.c.sample_hash.in_(_HASHES)
)
_PRESENT = (
    sa.select(samples.c.subject_hash).distinct().where(_MINE, samples.c.subject_hash.in_(_HASHES))
)
_DOOMED = _MINE & samples.c.key.in_(sa.bindparam("keys", expanding=True))
_DELETE_KEYS = sa.delete(sample_keys).where(
    sample_keys.c.sample_key.in_(sa.select(samples.c.key).where(_DOOMED))
)
_DELETE = sa.delete(samples).where(_DOOMED).returning(samples.c.retention, samples.c.subject_hash)


def known(conn: Connection, model_key: int, sample_hashes: Sequence[bytes]) -> dict[bytes, bytes]:
    """Of these samples, those that the model holds, with the hash of their content."""
    held: dict[bytes, bytes] = {}
    for batch in batches(sample_hashes):
        rows = conn.execute(_KNOWN, {"of_model": model_key, "hashes": batch})
        held.update((row.sample_hash, row.content_hash) for row in rows)
    return held


def insert(conn: Connection, model_key: int, rows: Sequence[NewSample]) -> None:
    """Adds samples, none of which the model may hold already (see ``known``).

    Raises:
        sqlalchemy.exc.IntegrityError: if it holds one; the transaction must not commit.
    """
    subjects = {row.subject_hash for row in rows if row.subject_hash is not None}
    joining = len(subjects) - len(_present(conn, model_key, subjects))
    for batch in batches(rows):
        _insert_batch(conn, model_key, batch)
    kinds = Counter(row.retention for row in rows)
    tally(
        conn,
        model_key,
        user=kinds[Retention.USER],
        core=kinds[Retention.CORE],
        subjects=joining,
    )


def matching(
    conn: Connection, model_key: int, selections: Sequence[Selection]
) -> list[list[StoredSample]]:
    """For each selection, the model's samples that it names; none for all user data."""
    named = _named(conn, _MATCHING, selections, of_model=model_key)
    return [[_stored(row) for row in rows] for rows in named]


def holders(conn: Connection, selections: Sequence[Selection]) -> list[dict[str, bool]]:
    """For each selection, the models with a sample that it names: whether one of those is CORE.

    There are none for all user data.
    """
    found: list[dict[str, bool]] = []
    for rows in _named(conn, _HOLDERS, selections):
        holds_core: dict[str, bool] = {}
        for model_id, retention, _ in rows:
            holds_core[model_id] = holds_core.get(model_id, False) or retention is Retention.CORE
        found.append(holds_core)
    return found


def count(conn: Connection, model_key: int, selections: Sequence[Selection]) -> tuple[int, int]:
    """How many USER samples of the model selections name, and of how many subjects."""
    if any(selection.kind is SelectionKind.ALL_USER_DATA for selection in selections):
        rows, subjects = conn.execute(_USERS_COUNTED, {"of_model": model_key}).one()
        return rows, subjects
    named = _named(conn, _USERS_NAMED, selections, of_model=model_key)
    subject_of = {key: subject for rows in named for key, subject, _ in rows}
    return len(subject_of), len(set(subject_of.values()) - {None})


def stream(conn: Connection, model_key: int, block: int) -> Iterator[list[StoredSample]]:
    """All samples of a model in order of key, at most ``block`` of them in memory."""
    asked = {"of_model": model_key, "after": 0, "block": block}
    while rows := conn.execute(_STREAM, asked).all():
        yield [_stored(row) for row in rows]
        asked["after"] = rows[-1].key


def listed(conn: Connection, model_key: int) -> Sequence[Listed]:
    """All samples of a model in order of key, without their payloads."""
    return [Listed(*row) for row in conn.execute(_LISTED, {"of_model": model_key})]


def of_keys(conn: Connection, model_key: int, keys: Sequence[int]) -> Iterator[StoredSample]:
    """Those samples of a model, in the order of their keys as given."""
    for batch in batches(keys):
        found = conn.execute(_OF_KEYS, {"of_model": model_key, "keys": batch})
        by_key = {row.key: _stored(row) for row in found}
        yield from (by_key[key] for key in batch)


def erase(conn: Connection, model_key: int, keys: Sequence[int]) -> int:
    """Deletes samples of a model, their wrapped keys first.

    Returns:
        How many were deleted: fewer than asked for if some were gone, or not the model's.
    """
    kinds: Counter[Retention] = Counter()
    subjects: set[bytes] = set()
    for batch in batches(keys):
        doomed = {"of_model": model_key, "keys": batch}
        conn.execute(_DELETE_KEYS, doomed)
        for row in conn.execute(_DELETE, doomed):
            kinds[row.retention] += 1
            if row.subject_hash is not None:
                subjects.add(row.subject_hash)
    leaving = len(subjects) - len(_present(conn, model_key, subjects))
    tally(
        conn,
        model_key,
        user=-kinds[Retention.USER],
        core=-kinds[Retention.CORE],
        subjects=-leaving,
    )
    return kinds.total()


def erase_user_data(conn: Connection, model_key: int) -> int:
    """Deletes every USER sample of a model without reading its payload; returns how many."""
    return erase(conn, model_key, conn.scalars(_USER_KEYS, {"of_model": model_key}).all())


def count_by_model(conn: Connection) -> dict[tuple[str, Retention], int]:
    """How many samples of each retention each model holds."""
    query = sa.select(models.c.model_id, models.c.user_count, models.c.core_count)
    counts: dict[tuple[str, Retention], int] = {}
    for row in conn.execute(query.where(models.c.delete_time.is_(None))):
        counts[row.model_id, Retention.USER] = row.user_count
        counts[row.model_id, Retention.CORE] = row.core_count
    return counts


def _named(
    conn: Connection, queries: _Queries, selections: Sequence[Selection], **bound: int
) -> list[list[_Row]]:
    """For each selection, the rows of the samples that it names, read for all at once."""
    found: defaultdict[tuple[SelectionKind, bytes], list[_Row]] = defaultdict(list)
    for kind, query in queries.items():
        of_kind = [selection.hashes for selection in selections if selection.kind is kind]
        for batch in batches(tuple(dict.fromkeys(chain.from_iterable(of_kind)))):
            for row in conn.execute(query, {"hashes": batch, **bound}):
                found[kind, row[-1]].append(row)
    return [
        [row for name in dict.fromkeys(each.hashes) for row in found[each.kind, name]]
        for each in selections
    ]


def _present(conn: Connection, model_key: int, subjects: Iterable[bytes]) -> set[bytes]:
    """Of these subjects, those with a sample in the model."""
    return {
        subject
        for batch in batches(tuple(subjects))
        for subject in conn.scalars(_PRESENT, {"of_model": model_key, "hashes": batch})
    }


def _insert_batch(conn: Connection, model_key: int, batch: Sequence[NewSample]) -> None:
    added = conn.execute(
        sa.insert(samples).returning(samples.c.sample_hash, samples.c.key),
        [
            {
                "model_key": model_key,
                "retention": row.retention,
                "sample_hash": row.sample_hash,
                "subject_hash": row.subject_hash,
                "content_hash": row.content_hash,
                "payload": row.sealed.payload,
            }
            for row in batch
        ],
    )
    key_of = {row.sample_hash: row.key for row in added}
    conn.execute(
        sa.insert(sample_keys),
        [
            {
                "sample_key": key_of[row.sample_hash],
                "wrapped_key": row.sealed.wrapped_key,
                "master_id": row.sealed.master_id,
            }
            for row in batch
        ],
    )


def _stored(row: _Row) -> StoredSample:
    """Of the columns of ``_STORED``, and perhaps others after them."""
    key, sample_hash, subject_hash, retention, payload, wrapped_key, master_id, *_ = row
    sealed = Sealed(payload, wrapped_key, master_id)
    return StoredSample(key, sample_hash, subject_hash, retention, sealed)
