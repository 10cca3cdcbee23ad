"""After an erasure no byte of the person is anywhere in the data directory."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import sleep

import numpy as np
import pytest

from unlearn.v1.erasure_pb2 import Erasure
from unlearn.v1.model_pb2 import Features, Sample
from unlearn_client import Selection

CLASSES = ["cat", "dog"]
WIDTH = 24
SUBJECT = "ada.lovelace-6c1e@example.org"
OTHER = "bob-5512@example.org"


def found(directory: Path, pattern: bytes) -> list[str]:
    """The files that hold a pattern, whatever they are."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert len(files) >= 4  # the database, two keys, the lock
    return [path.name for path in files if pattern in path.read_bytes()]


def sample(sample_id: str, subject_id: str, seed: int) -> Sample:
    values = np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)
    return Sample(
        sample_id=sample_id, subject_id=subject_id, features=Features(values=values), label=1
    )


def encodings(sample: Sample, step: float) -> dict[str, bytes]:
    """Every form in which a sample could lie about; a few numbers of it are enough to tell."""
    values = np.array(sample.features.values[3:7])
    lattice = np.rint(values / step)
    return {
        "sample id": sample.sample_id.encode(),
        "sample id in UTF-16": sample.sample_id.encode("utf-16-le"),
        "subject id": sample.subject_id.encode(),
        "subject id in UTF-16": sample.subject_id.encode("utf-16-le"),
        "message": sample.SerializeToString()[-12:],
        "float32": values.astype("<f4").tobytes(),
        "float64": values.astype("<f8").tobytes(),
        "int16": lattice.astype("<i2").tobytes(),
        "int32": lattice.astype("<i4").tobytes(),
        "int64": lattice.astype("<i8").tobytes(),
        "lattice float64": lattice.astype("<f8").tobytes(),
    }


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def rows(data_dir: Path, query: str) -> set[bytes]:
    with closing(sqlite3.connect(data_dir / "unlearn.db")) as database:
        return {value for (value,) in database.execute(query)}


def wal_is_empty(data_dir: Path) -> bool:
    return (data_dir / "unlearn.db-wal").stat().st_size == 0


def test_the_search_finds_what_is_there(data_dir: Path) -> None:
    """Or all tests here would pass for nothing."""
    data_dir.mkdir()
    with closing(sqlite3.connect(data_dir / "planted.db")) as database, database:
        database.execute("CREATE TABLE t (clear TEXT, sealed BLOB)")
        planted = sample("planted-id", SUBJECT, 1)
        for value in encodings(planted, 2.0**-11).values():
            database.execute("INSERT INTO t VALUES (?, ?)", (SUBJECT, value))
    for name in "abc":
        (data_dir / name).touch()
    for kind, pattern in encodings(planted, 2.0**-11).items():
        assert found(data_dir, pattern) == ["planted.db"], kind


@pytest.mark.parametrize("method", [Erasure.EXACT, Erasure.ZERO])
def test_neither_rows_nor_keys_nor_ids_remain(
    open_server, data_dir: Path, wait_until: Callable[..., None], method
) -> None:
    hers = [sample(f"photo-{i}-of-ada", SUBJECT, i) for i in range(20)]
    his = [sample(f"photo-{i}-of-bob", OTHER, 100 + i) for i in range(20)]
    with open_server(data_dir) as server:
        model = server.client.create_model("m", f"features:{WIDTH}", CLASSES)
        server.client.add_samples("m", hers + his)
        server.client.create_release("m")
        step = 2.0 ** (np.ceil(np.log2(model.user_weights.feature_bound)) - 14)

        # Nothing is in clear even before: rows are sealed, ids are keyed hashes.
        for own in hers + his:
            for kind, pattern in encodings(own, step).items():
                assert found(data_dir, pattern) == [], kind
        ids = (
            "SELECT key FROM samples ORDER BY key LIMIT 20"
            if method == Erasure.EXACT
            else "SELECT key FROM samples"
        )
        hidden = {
            kind: rows(data_dir, f"SELECT {column} FROM {table} WHERE {key} IN ({ids})")  # noqa: S608 # ours
            for kind, column, table, key in (
                ("payload", "payload", "samples", "key"),
                ("wrapped key", "wrapped_key", "sample_keys", "sample_key"),
                ("sample hash", "sample_hash", "samples", "key"),
                ("content hash", "content_hash", "samples", "key"),
            )
        }
        weights = rows(data_dir, "SELECT payload FROM releases")
        weights |= rows(data_dir, "SELECT wrapped_key FROM release_keys")
        for kind, patterns in hidden.items():
            assert len(patterns) == (20 if method == Erasure.EXACT else 40)
            assert all(found(data_dir, pattern) for pattern in patterns), kind

        if method == Erasure.EXACT:
            selection, models = Selection.subjects([SUBJECT]), []
        else:
            selection, models = Selection.all_user_data(), ["m"]
        accepted = server.client.create_erasure(selection, models, method)
        assert server.client.wait_for_erasure(accepted.name).state == Erasure.SUCCEEDED
        wait_until(lambda: wal_is_empty(data_dir))

        check_gone(data_dir, hers, step, {**hidden, "weights": weights})
    check_gone(data_dir, hers, step, {**hidden, "weights": weights})


def check_gone(
    data_dir: Path, gone: list[Sample], step: float, hidden: dict[str, set[bytes]]
) -> None:
    for own in gone:
        for kind, pattern in encodings(own, step).items():
            assert found(data_dir, pattern) == [], kind
    for kind, patterns in hidden.items():
        for pattern in patterns:
            # Any part: SQLite may split what it stores between pages.
            for start in range(0, len(pattern), 16):
                part = pattern[start : start + 16]
                if any(part):
                    assert found(data_dir, part) == [], kind


def test_a_deleted_model_leaves_nothing_of_its_samples(open_server, data_dir: Path) -> None:
    own = [sample(f"photo-{i}", SUBJECT, i) for i in range(20)]
    with open_server(data_dir) as server:
        server.client.create_model("m", f"features:{WIDTH}", CLASSES)
        server.client.add_samples("m", own)
        server.client.create_release("m")
        hidden = {
            "payload": rows(data_dir, "SELECT payload FROM samples"),
            "wrapped key": rows(data_dir, "SELECT wrapped_key FROM sample_keys"),
            "weights": rows(data_dir, "SELECT payload FROM releases"),
            "subject": rows(data_dir, "SELECT subject_hash FROM samples"),
        }
        server.client.delete_model("m")
        check_gone(data_dir, own, 2.0**-11, hidden)


def test_what_a_reader_kept_from_being_cleared_is_cleared_when_it_has_gone(
    open_server, data_dir: Path, wait_until: Callable[..., None]
) -> None:
    with open_server(data_dir) as server:
        server.client.create_model("m", f"features:{WIDTH}", CLASSES)
        server.client.add_samples("m", [sample("s", SUBJECT, 1)])
        [payload] = rows(data_dir, "SELECT payload FROM samples")
        with closing(sqlite3.connect(data_dir / "unlearn.db")) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM samples").fetchone()
            accepted = server.client.create_erasure(Selection.subjects([SUBJECT]))
            done = server.client.wait_for_erasure(accepted.name)
            assert done.state == Erasure.SUCCEEDED
            sleep(1)  # longer than the server waits for readers
            assert found(data_dir, payload)  # it lingers as long as somebody reads
        server.client.create_erasure(Selection.subjects(["nobody"]))  # wakes the eraser
        wait_until(lambda: wal_is_empty(data_dir))
        assert not found(data_dir, payload)


def test_what_a_crash_kept_from_being_cleared_is_cleared_by_the_next_start(
    start, open_server, data_dir: Path, wait_until: Callable[..., None]
) -> None:
    process = start()
    with process.asked() as server:
        server.client.create_model("m", f"features:{WIDTH}", CLASSES)
        server.client.add_samples("m", [sample("s", SUBJECT, 1)])
        [payload] = rows(data_dir, "SELECT payload FROM samples")
        with closing(sqlite3.connect(data_dir / "unlearn.db")) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM samples").fetchone()
            accepted = server.client.create_erasure(Selection.subjects([SUBJECT]))
            server.client.wait_for_erasure(accepted.name)
            process.kill()
            assert found(data_dir, payload)
            # Closing it now would tidy up as a last connection does; the server must.
            with open_server(data_dir) as after:
                assert after.client.get_model("m").sample_count == 0
                reader.rollback()
                wait_until(lambda: wal_is_empty(data_dir))
                assert not found(data_dir, payload)
