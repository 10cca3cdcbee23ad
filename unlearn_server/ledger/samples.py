"""Samples and the wrapped keys that open them, kept apart and erased together.

Every change raises the model's version first, which also holds off other writers of
that model, and then brings its counts up to date: they always equal COUNT(*).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from unlearn_server.domain import NewSample, Retention, Selection, SelectionKind, StoredSample
from unlearn_server.ledger.batches import batches
from unlearn_server.ledger.models import bump, tally
from unlearn_server.ledger.schema import models, sample_keys, samples

_STORED = sa.select(
    samples.c.key,
    samples.c.sample_hash,
    samples.c.retention,
    samples.c.payload,
    sample_keys.c.wrapped_key,
).join(sample_keys)


def known(conn: Connection, model_key: int, sample_hashes: Sequence[bytes]) -> dict[bytes, bytes]:
    """Of these samples, those that the model holds, with the hash of their content."""
    query = sa.select(samples.c.sample_hash, samples.c.content_hash)
    held: dict[bytes, bytes] = {}
    for batch in batches(sample_hashes):
        rows = conn.execute(query.where(_of(model_key), samples.c.sample_hash.in_(batch)))
        held.update((row.sample_hash, row.content_hash) for row in rows)
    return held


def insert(conn: Connection, model_key: int, rows: Sequence[NewSample]) -> None:
    """Adds samples, none of which the model may hold already (see ``known``).

    Raises:
        sqlalchemy.exc.IntegrityError: if it holds one; the transaction must not commit.
    """
    bump(conn, model_key)
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
    conn: Connection, model_key: int, selection: Selection, retention: Retention
) -> list[StoredSample]:
    """The model's samples of one retention that a selection names, in order of key."""
    stored = [
        StoredSample(*row)
        for condition in _conditions(selection)
        for row in conn.execute(
            _STORED.where(_of(model_key), samples.c.retention == retention, condition)
        )
    ]
    return sorted(stored, key=lambda sample: sample.key)


def count_matching(
    conn: Connection, model_key: int, selection: Selection, retention: Retention
) -> int:
    """How many samples ``matching`` would return."""
    query = sa.select(sa.func.count()).select_from(samples)
    mine = _of(model_key) & (samples.c.retention == retention)
    return sum(
        conn.scalars(query.where(mine, condition)).one() for condition in _conditions(selection)
    )


def has_core_match(conn: Connection, model_key: int, selection: Selection) -> bool:
    """Whether a selection names a CORE sample, which cannot be erased."""
    return count_matching(conn, model_key, selection, Retention.CORE) > 0


def subjects_matching(conn: Connection, model_key: int, selection: Selection) -> set[bytes]:
    """The subjects of the USER samples that a selection names."""
    query = sa.select(samples.c.subject_hash).distinct()
    mine = _of(model_key) & (samples.c.retention == Retention.USER)
    return {
        subject
        for condition in _conditions(selection)
        for subject in conn.scalars(query.where(mine, condition))
        if subject is not None
    }


def models_holding(conn: Connection, selection: Selection) -> list[str]:
    """The ids of the models with a sample that a selection names, in order of id."""
    query = sa.select(models.c.model_id).distinct().join(samples)
    found = {
        model_id
        for condition in _conditions(selection)
        for model_id in conn.scalars(query.where(condition))
    }
    return sorted(found)


def stream(conn: Connection, model_key: int, block: int) -> Iterator[list[StoredSample]]:
    """All samples of a model in order of key, at most ``block`` of them in memory."""
    query = _STORED.where(_of(model_key)).order_by(samples.c.key).limit(block)
    after = 0
    while rows := conn.execute(query.where(samples.c.key > after)).all():
        yield [StoredSample(*row) for row in rows]
        after = rows[-1].key


def erase(conn: Connection, model_key: int, keys: Sequence[int]) -> int:
    """Deletes samples of a model, their wrapped keys first.

    Returns:
        How many were deleted: fewer than asked for if some were gone, or not the model's.
    """
    bump(conn, model_key)
    kinds: Counter[Retention] = Counter()
    subjects: set[bytes] = set()
    for batch in batches(keys):
        for row in _delete(conn, _of(model_key) & samples.c.key.in_(batch)):
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
    query = sa.select(samples.c.key).where(_of(model_key), samples.c.retention == Retention.USER)
    return erase(conn, model_key, conn.scalars(query).all())


def count_by_model(conn: Connection) -> dict[tuple[str, Retention], int]:
    """How many samples of each retention each model holds."""
    query = sa.select(models.c.model_id, models.c.user_count, models.c.core_count)
    counts: dict[tuple[str, Retention], int] = {}
    for row in conn.execute(query.where(models.c.delete_time.is_(None))):
        counts[row.model_id, Retention.USER] = row.user_count
        counts[row.model_id, Retention.CORE] = row.core_count
    return counts


def _of(model_key: int) -> ColumnElement[bool]:
    return samples.c.model_key == model_key


def _conditions(selection: Selection) -> Iterator[ColumnElement[bool]]:
    """What a selection means, as conditions of which each sample meets at most one."""
    if selection.kind is SelectionKind.ALL_USER_DATA:
        yield samples.c.retention == Retention.USER
        return
    by_subject = selection.kind is SelectionKind.SUBJECTS
    column = samples.c.subject_hash if by_subject else samples.c.sample_hash
    for batch in batches(tuple(dict.fromkeys(selection.hashes))):
        yield column.in_(batch)


def _present(conn: Connection, model_key: int, subjects: Iterable[bytes]) -> set[bytes]:
    """Of these subjects, those with a sample in the model."""
    query = sa.select(samples.c.subject_hash).distinct().where(_of(model_key))
    return {
        subject
        for batch in batches(tuple(subjects))
        for subject in conn.scalars(query.where(samples.c.subject_hash.in_(batch)))
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
                "payload": row.payload,
            }
            for row in batch
        ],
    )
    key_of = {row.sample_hash: row.key for row in added}
    conn.execute(
        sa.insert(sample_keys),
        [{"sample_key": key_of[row.sample_hash], "wrapped_key": row.wrapped_key} for row in batch],
    )


def _delete(conn: Connection, condition: ColumnElement[bool]) -> Sequence[Any]:
    doomed = sa.select(samples.c.key).where(condition)
    conn.execute(sa.delete(sample_keys).where(sample_keys.c.sample_key.in_(doomed)))
    gone = sa.delete(samples).where(condition)
    return conn.execute(gone.returning(samples.c.retention, samples.c.subject_hash)).all()
