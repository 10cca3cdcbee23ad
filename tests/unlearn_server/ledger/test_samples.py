from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from unlearn_server.domain import (
    Model,
    NewSample,
    Retention,
    Selection,
    SelectionKind,
    StoredSample,
)
from unlearn_server.ledger import models, samples
from unlearn_server.ledger.batches import BATCH
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.schema import metadata

Make = Callable[..., NewSample]
Fill = Callable[..., None]

EVERYTHING = Selection(SelectionKind.ALL_USER_DATA)


def of_subjects(*names: str) -> Selection:
    return Selection(SelectionKind.SUBJECTS, tuple(name.encode().ljust(32, b"-") for name in names))


def of_samples(*names: str) -> Selection:
    return Selection(SelectionKind.SAMPLES, tuple(name.encode().ljust(32, b"-") for name in names))


def payloads(
    database: Database, model: Model, selection: Selection, retention: Retention
) -> list[bytes]:
    with database.read() as conn:
        [found] = samples.matching(conn, model.key, [selection])
    return sorted(sample.sealed.payload for sample in found if sample.retention is retention)


def held(conn: Connection, model: Model) -> list[StoredSample]:
    return [row for block in samples.stream(conn, model.key, 1000) for row in block]


def test_known_samples_come_with_the_hash_of_their_content(
    database: Database, create: Callable[[str], Model], fill: Fill, sample: Make
) -> None:
    model, other = create("m"), create("other")
    a, b, c = sample("a"), sample("b"), sample("c")
    fill(model, a, b)
    fill(other, c)
    with database.read() as conn:
        known = samples.known(conn, model.key, [a.sample_hash, c.sample_hash])
    assert known == {a.sample_hash: a.content_hash}


def test_a_sample_is_held_once(fill: Fill, model: Model, sample: Make) -> None:
    fill(model, sample("a"))
    with pytest.raises(sa.exc.IntegrityError):
        fill(model, sample("b"), sample("a"))


def test_each_sample_is_stored_with_its_own_key(
    database: Database, model: Model, fill: Fill, sample: Make
) -> None:
    fill(model, *(sample(str(number)) for number in range(50)))
    with database.read() as conn:
        stored = held(conn, model)
    assert len(stored) == 50
    for number, row in enumerate(stored):
        assert row.sample_hash == sample(str(number)).sample_hash
        assert row.subject_hash == sample(str(number)).subject_hash
        assert row.sealed.payload == f"payload of {number}".encode()
        assert row.sealed.wrapped_key == f"key of {number}".encode()


@pytest.mark.parametrize(
    ("selection", "user", "core"),
    [
        (of_subjects("ada"), [b"payload of a", b"payload of b"], []),
        (of_subjects("bob"), [b"payload of c"], [b"payload of e"]),
        (of_subjects("ada", "ada", "eve"), [b"payload of a", b"payload of b"], []),
        (of_samples("a", "d", "x"), [b"payload of a"], [b"payload of d"]),
        (EVERYTHING, [], []),  # it names none by itself
        (of_subjects(), [], []),
    ],
)
def test_a_selection_names_samples(
    database: Database,
    model: Model,
    fill: Fill,
    sample: Make,
    selection: Selection,
    user: list[bytes],
    core: list[bytes],
) -> None:
    fill(
        model,
        sample("a", "ada"),
        sample("b", "ada"),
        sample("c", "bob"),
        sample("d", None, Retention.CORE),
        sample("e", "bob", Retention.CORE),
    )
    assert payloads(database, model, selection, Retention.USER) == user
    assert payloads(database, model, selection, Retention.CORE) == core


def test_each_of_several_selections_gets_its_own_samples(
    database: Database, create: Callable[[str], Model], fill: Fill, sample: Make
) -> None:
    model, other = create("m"), create("other")
    fill(model, sample("a", "ada"), sample("b", "ada"), sample("c", "bob"), sample("d", None))
    fill(other, sample("e", "ada"))
    selections = [
        of_subjects("ada", "bob"),
        of_samples("a", "d", "a"),
        of_subjects("nobody"),
        EVERYTHING,
        of_subjects("ada"),
        of_samples("ada"),  # a hash of the one kind means nothing as one of the other
        of_subjects("a"),
    ]
    with database.read() as conn:
        found = samples.matching(conn, model.key, selections)
        stored = {row.sealed.payload[-1:]: row for row in held(conn, model)}
    expected = [b"abc", b"ad", b"", b"", b"ab", b"", b""]
    for rows, names in zip(found, expected, strict=True):
        assert sorted(rows, key=lambda row: row.key) == [stored[bytes([name])] for name in names]


@pytest.mark.parametrize(
    ("selections", "rows", "subjects"),
    [
        ([of_subjects("ada")], 2, 1),
        ([of_subjects("ada", "bob")], 3, 2),
        ([of_subjects("ada"), of_samples("a", "c"), of_subjects("ada")], 3, 2),
        ([of_samples("d", "e", "x")], 1, 0),
        ([of_subjects("ada"), EVERYTHING], 4, 2),
        ([], 0, 0),
    ],
)
def test_counts_what_selections_name_once(
    database: Database,
    create: Callable[[str], Model],
    fill: Fill,
    sample: Make,
    selections: list[Selection],
    rows: int,
    subjects: int,
) -> None:
    model, other = create("m"), create("other")
    fill(model, sample("a", "ada"), sample("b", "ada"), sample("c", "bob"), sample("d", None))
    fill(model, sample("e", "eve", Retention.CORE))
    fill(other, sample("f", "ada"))
    with database.read() as conn:
        assert samples.count(conn, model.key, selections) == (rows, subjects)


def test_a_selection_may_be_longer_than_a_statement_binds(
    database: Database, model: Model, fill: Fill, sample: Make
) -> None:
    names = [str(number) for number in range(2 * BATCH + 1)]
    fill(model, *(sample(name, name) for name in names))
    assert len(payloads(database, model, of_subjects(*names), Retention.USER)) == len(names)
    with database.write() as conn:
        each = [of_samples(name) for name in names]
        found = [row for rows in samples.matching(conn, model.key, each) for row in rows]
        assert samples.count(conn, model.key, each) == (len(names), len(names))
        assert samples.erase(conn, model.key, [row.key for row in found]) == len(names)
        assert models.get(conn, "m").subject_count == 0


def test_finds_the_models_that_hold_what_selections_name(
    database: Database, create: Callable[[str], Model], fill: Fill, sample: Make
) -> None:
    first, second, gone = create("first"), create("second"), create("gone")
    fill(second, sample("a", "ada"))
    fill(first, sample("a", "ada"), sample("b", "bob"), sample("c", "eve", Retention.CORE))
    fill(first, sample("d", "eve"))
    fill(gone, sample("a", "ada"))
    with database.write() as conn:
        models.delete(conn, gone.key, gone.create_time)
    with database.read() as conn:
        assert samples.holders(
            conn,
            [
                of_subjects("ada"),
                of_samples("b"),
                of_subjects("nobody"),
                of_subjects("eve"),
                of_samples("d"),
                of_samples("a", "c"),
                EVERYTHING,
            ],
        ) == [
            {"first": False, "second": False},
            {"first": False},
            {},
            {"first": True},
            {"first": False},
            {"first": True, "second": False},
            {},
        ]


@pytest.mark.parametrize("block", [1, 2, 3, 7, 8])
def test_a_stream_gives_every_sample_once_in_blocks(
    database: Database, create: Callable[[str], Model], fill: Fill, sample: Make, block: int
) -> None:
    model, other = create("m"), create("other")
    for number in range(7):
        fill(model, sample(str(number)))
        fill(other, sample(str(number)))
    with database.read() as conn:
        blocks = list(samples.stream(conn, model.key, block))
    assert max(len(rows) for rows in blocks) <= block
    assert [row.sealed.payload for rows in blocks for row in rows] == [
        f"payload of {number}".encode() for number in range(7)
    ]


def test_erases_the_rows_of_its_model_only(
    database: Database, create: Callable[[str], Model], fill: Fill, sample: Make
) -> None:
    model, other = create("m"), create("other")
    fill(model, sample("a"))
    fill(other, sample("a"))
    with database.write() as conn:
        keys = [row.key for each in (model, other) for row in held(conn, each)]
        assert samples.erase(conn, model.key, keys) == 1
        assert samples.erase(conn, model.key, keys) == 0
        assert conn.scalar(sa.text("SELECT COUNT(*) FROM sample_keys")) == 1
    assert payloads(database, other, of_samples("a"), Retention.USER) == [b"payload of a"]


def test_erases_all_user_data_and_nothing_else(
    database: Database, model: Model, fill: Fill, sample: Make
) -> None:
    fill(model, sample("a", "ada"), sample("b", "bob"), sample("c", "bob", Retention.CORE))
    with database.write() as conn:
        assert samples.erase_user_data(conn, model.key) == 2
        left = models.get(conn, "m")
        assert (left.sample_count, left.subject_count) == (1, 1)
        assert samples.count_by_model(conn) == {
            ("m", Retention.USER): 0,
            ("m", Retention.CORE): 1,
        }


def test_a_key_is_never_used_again(
    database: Database, model: Model, fill: Fill, sample: Make
) -> None:
    fill(model, sample("a"))
    with database.write() as conn:
        (old,) = held(conn, model)
        samples.erase(conn, model.key, [old.key])
    fill(model, sample("b"))
    with database.write() as conn:
        assert samples.erase(conn, model.key, [old.key]) == 0


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_no_byte_of_an_erased_sample_stays_on_disk(
    tmp_path: Path, database: Database, model: Model, fill: Fill, sample: Make
) -> None:
    fill(model, *(sample(f"sample number {number}", f"person {number}") for number in range(200)))
    with database.write() as conn:
        [doomed] = samples.matching(conn, model.key, [of_subjects("person 77", "person 150")])
        samples.erase(conn, model.key, [row.key for row in doomed])
    assert database.checkpoint()
    disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"sample number 78" in disk
    for number in (b"77", b"150"):
        assert b"sample number " + number not in disk
        assert b"person " + number not in disk


def counted(conn: Connection, model: Model) -> tuple[int, int]:
    table = metadata.tables["samples"]
    query = sa.select(sa.func.count(), sa.func.count(table.c.subject_hash.distinct()))
    everyone, subjects = conn.execute(query.where(table.c.model_key == model.key)).one()
    return everyone, subjects


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("insert"),
            st.lists(
                st.tuples(
                    st.sampled_from("abcdefgh"),
                    st.sampled_from(["ada", "bob", "eve", None]),
                    st.sampled_from(Retention),
                ),
                unique_by=lambda row: row[0],
                max_size=5,
            ),
        ),
        st.tuples(st.just("erase"), st.lists(st.sampled_from("abcdefgh"), max_size=5)),
        st.tuples(st.just("forget"), st.sampled_from(["ada", "bob", "eve"])),
        st.tuples(st.just("erase all"), st.none()),
    ),
    max_size=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_counts_are_true_after_any_steps(
    database: Database, model: Model, sample: Make, steps: list[tuple[str, object]]
) -> None:
    with database.write() as conn:
        for step in steps:
            take(conn, model, sample, step)
            now = models.get(conn, "m")
            assert (now.sample_count, now.subject_count) == counted(conn, model)
            assert conn.scalar(sa.text("SELECT COUNT(*) FROM sample_keys")) == now.sample_count
        conn.rollback()


def take(conn: Connection, model: Model, sample: Make, step: tuple[str, object]) -> None:
    match step:
        case "insert", list(rows):
            new = [sample(*row) for row in rows]
            known = samples.known(conn, model.key, [row.sample_hash for row in new])
            samples.insert(conn, model.key, [row for row in new if row.sample_hash not in known])
        case "erase", list(names):
            erase(conn, model, of_samples(*names))
        case "forget", str(name):
            erase(conn, model, of_subjects(name))
        case _:
            samples.erase_user_data(conn, model.key)


def erase(conn: Connection, model: Model, selection: Selection) -> None:
    [found] = samples.matching(conn, model.key, [selection])
    assert samples.erase(conn, model.key, [row.key for row in found]) == len(found)


def test_samples_come_in_the_order_in_which_their_keys_are_asked_for(
    database: Database, create: Callable[[str], Model], fill: Fill, sample: Make
) -> None:
    model = create("m")
    fill(model, *(sample(f"s{i}") for i in range(BATCH + 5)))
    with database.read() as conn:
        stored = held(conn, model)
        keys = [row.key for row in reversed(stored)]
        assert list(samples.of_keys(conn, model.key, keys)) == stored[::-1]
        assert list(samples.of_keys(conn, model.key, keys[3:4])) == [stored[-4]]
