from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from unlearn_server.domain import Model, NewSample, Retention, Selection, SelectionKind
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
        found = samples.matching(conn, model.key, selection, retention)
        assert samples.count_matching(conn, model.key, selection, retention) == len(found)
    return [sample.payload for sample in found]


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
        stored = samples.matching(conn, model.key, EVERYTHING, Retention.USER)
    for number, row in enumerate(stored):
        assert row.sample_hash == sample(str(number)).sample_hash
        assert row.payload == f"payload of {number}".encode()
        assert row.wrapped_key == f"key of {number}".encode()


@pytest.mark.parametrize(
    ("selection", "user", "core"),
    [
        (of_subjects("ada"), [b"payload of a", b"payload of b"], []),
        (of_subjects("bob"), [b"payload of c"], [b"payload of e"]),
        (of_subjects("ada", "ada", "eve"), [b"payload of a", b"payload of b"], []),
        (of_samples("a", "d", "x"), [b"payload of a"], [b"payload of d"]),
        (EVERYTHING, [b"payload of a", b"payload of b", b"payload of c"], []),
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
    with database.read() as conn:
        assert samples.has_core_match(conn, model.key, selection) == bool(core)


def test_a_selection_may_be_longer_than_a_statement_binds(
    database: Database, model: Model, fill: Fill, sample: Make
) -> None:
    names = [str(number) for number in range(2 * BATCH + 1)]
    fill(model, *(sample(name, name) for name in names))
    assert len(payloads(database, model, of_subjects(*names), Retention.USER)) == len(names)
    with database.write() as conn:
        held = samples.matching(conn, model.key, of_samples(*names), Retention.USER)
        assert samples.erase(conn, model.key, [row.key for row in held]) == len(names)
        assert models.get(conn, "m").subject_count == 0


def test_finds_the_models_and_the_subjects_that_a_selection_concerns(
    database: Database, create: Callable[[str], Model], fill: Fill, sample: Make
) -> None:
    first, second, _ = create("first"), create("second"), create("third")
    fill(second, sample("a", "ada"))
    fill(first, sample("a", "ada"), sample("b", "bob"), sample("c", "eve", Retention.CORE))
    with database.read() as conn:
        assert samples.models_holding(conn, of_subjects("ada")) == ["first", "second"]
        assert samples.models_holding(conn, of_samples("b")) == ["first"]
        assert samples.models_holding(conn, of_subjects("nobody")) == []
        subjects = samples.subjects_matching(conn, first.key, of_samples("a", "b", "c"))
    assert subjects == set(of_subjects("ada", "bob").hashes)


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
    assert [row.payload for rows in blocks for row in rows] == [
        f"payload of {number}".encode() for number in range(7)
    ]


def test_erases_the_rows_of_its_model_only(
    database: Database, create: Callable[[str], Model], fill: Fill, sample: Make
) -> None:
    model, other = create("m"), create("other")
    fill(model, sample("a"))
    fill(other, sample("a"))
    with database.write() as conn:
        keys = [
            row.key
            for each in (model, other)
            for row in samples.matching(conn, each.key, EVERYTHING, Retention.USER)
        ]
        assert samples.erase(conn, model.key, keys) == 1
        assert samples.erase(conn, model.key, keys) == 0
        assert conn.scalar(sa.text("SELECT COUNT(*) FROM sample_keys")) == 1
    assert payloads(database, other, EVERYTHING, Retention.USER) == [b"payload of a"]


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
        (old,) = samples.matching(conn, model.key, EVERYTHING, Retention.USER)
        samples.erase(conn, model.key, [old.key])
    fill(model, sample("b"))
    with database.write() as conn:
        assert samples.erase(conn, model.key, [old.key]) == 0


def test_every_change_raises_the_version(
    database: Database, model: Model, fill: Fill, sample: Make
) -> None:
    fill(model, sample("a"))
    with database.write() as conn:
        added = models.get(conn, "m").version
        samples.erase_user_data(conn, model.key)
        erased = models.get(conn, "m").version
    assert model.version < added < erased


def test_no_byte_of_an_erased_sample_stays_on_disk(
    tmp_path: Path, database: Database, model: Model, fill: Fill, sample: Make
) -> None:
    fill(model, *(sample(f"sample number {number}", f"person {number}") for number in range(200)))
    with database.write() as conn:
        doomed = samples.matching(
            conn, model.key, of_subjects("person 77", "person 150"), Retention.USER
        )
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


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
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
            held = samples.known(conn, model.key, [row.sample_hash for row in new])
            samples.insert(conn, model.key, [row for row in new if row.sample_hash not in held])
        case "erase", list(names):
            erase(conn, model, of_samples(*names), list(Retention))
        case "forget", str(name):
            erase(conn, model, of_subjects(name), [Retention.USER])
        case _:
            samples.erase_user_data(conn, model.key)


def erase(
    conn: Connection, model: Model, selection: Selection, retentions: list[Retention]
) -> None:
    keys = [
        row.key
        for retention in retentions
        for row in samples.matching(conn, model.key, selection, retention)
    ]
    assert samples.erase(conn, model.key, keys) == len(keys)
