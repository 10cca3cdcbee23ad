import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from unlearn_server.domain import KeyKind, Model, Sealed
from unlearn_server.errors import StartupError
from unlearn_server.ledger import adoption, key_ids, models, releases, samples
from unlearn_server.ledger.database import MIGRATIONS, Database
from unlearn_server.ledger.schema import metadata
from unlearn_server.ledger.schema import models as MODELS  # noqa: N812
from unlearning.objective import Objective
from unlearning.rounding import SolveReport

ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
REVISIONS = sorted(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())
OBJECTIVE = Objective("c0" * 32, "identity", 3, 4.0, 5, 7, ("cat", "dog"))


def pragma(database: Database, name: str) -> object:
    with database.read() as conn:
        return conn.exec_driver_sql(f"PRAGMA {name}").scalar()


@ON_SQLITE
@pytest.mark.parametrize(
    ("name", "setting"),
    [("journal_mode", "wal"), ("synchronous", 2), ("secure_delete", 1), ("foreign_keys", 1)],
)
def test_sqlite_is_durable_and_forgets(database: Database, name: str, setting: object) -> None:
    assert pragma(database, name) == setting


def test_migrations_make_the_tables_of_the_schema(database: Database) -> None:
    with database.read() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []


def test_opening_again_keeps_what_is_there(url: str, model: Model) -> None:
    again = Database.open(url)
    with again.read() as conn:
        assert models.get(conn, "m") == model
    again.close()


@pytest.mark.parametrize("revision", REVISIONS)
def test_what_an_older_version_wrote_is_kept_and_goes_on(url: str, revision: str) -> None:
    _write_as_of(revision, url)
    database = Database.open(url)
    with database.write() as conn:
        model = models.get(conn, "m")
        assert model.objective == OBJECTIVE
        release = releases.serving(conn, model.key)
        assert release is not None
        assert release.solve == SolveReport("exact", 0.5, 0.25, True)
        assert releases.begin(conn, model.key, release.create_time, "r").number == 2
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
    database.close()


def _write_as_of(revision: str, url: str) -> None:
    """What any version has written: a model, and the release that it serves."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as conn:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = conn
        command.upgrade(config, revision)
        conn.execute(
            sa.text("INSERT INTO models VALUES (7, 'm', 'features:2', :o, 0, 0, 0, 0, 1, 0, NULL)"),
            {"o": json.dumps(OBJECTIVE.to_json())},
        )
        conn.execute(
            sa.text(
                "INSERT INTO releases (model_key, number, state, sample_count, solve, create_time)"
                " VALUES (7, 1, 'SERVING', 3, :s, 0)"
            ),
            {"s": json.dumps(vars(SolveReport("exact", 0.5, 0.25, True)))},
        )
    engine.dispose()


def test_how_a_destroyed_release_was_solved_for_goes_where_an_older_version_kept_it(
    url: str,
) -> None:
    _write_as_of("0008", url)
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as conn:
        conn.execute(sa.text("UPDATE releases SET state = 'DESTROYED'"))
    engine.dispose()
    database = Database.open(url)
    with database.read() as conn:
        assert releases.get(conn, 7, 1).solve is None
    database.close()


def test_what_an_older_version_left_in_clear_is_there_for_the_server_to_seal(url: str) -> None:
    _write_as_of("0007", url)
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as conn:
        clear = {"salt": b"s" * 32, "weights": b"\0w\xff"}
        conn.execute(sa.text("UPDATE releases SET salt = :salt, weights = :weights"), clear)
        columns = "key, model_key, retention, sample_hash, content_hash, payload"
        row = {"hash": b"h" * 32}
        conn.execute(
            sa.text(f"INSERT INTO samples ({columns}) VALUES (3, 7, 'USER', :hash, :hash, :hash)"),  # noqa: S608 # ours
            row,
        )
        conn.execute(sa.text("INSERT INTO sample_keys VALUES (3, :hash)"), row)
    engine.dispose()
    database = Database.open(url)
    with database.write() as conn:
        key_ids.add(conn, KeyKind.MASTER, b"master")
        [release] = adoption.clear_releases(conn)
        assert (release.model_id, release.payload) == ("m", b"s" * 32 + b"\0w\xff")
        model = models.get(conn, "m")
        [[stored]] = samples.stream(conn, model.key, 2)
        assert stored.sealed == Sealed(b"h" * 32, b"h" * 32, b"")
        adoption.adopt_samples(conn, b"master")
        sealed = Sealed(b"payload", b"wrapped", b"master")
        adoption.adopt_release(conn, release, sealed)
        key_ids.drop_others(conn, b"master")
        served = releases.serving(conn, model.key)
        assert served is not None
        assert served.sealed == sealed
        [[stored]] = samples.stream(conn, model.key, 2)
        assert stored.sealed == Sealed(b"h" * 32, b"h" * 32, b"master")
    database.close()


def test_refuses_a_database_of_a_newer_version(url: str, database: Database) -> None:
    with database.write() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StartupError, match="newer version"):
        Database.open(url)
    with database.read() as conn:
        assert conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "9999"


@ON_SQLITE
@pytest.mark.usefixtures("model")
def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {
        "ledger.sqlite": 0o600,
        "ledger.sqlite-wal": 0o600,
        "ledger.sqlite-shm": 0o600,
    }


def test_a_transaction_that_raises_leaves_nothing(
    database: Database, model: Model, sample: Callable[..., object]
) -> None:
    def half_way() -> None:
        with database.write() as conn:
            samples.insert(conn, model.key, [sample("a")])  # type: ignore[list-item]
            models.delete(conn, model.key, model.create_time)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_way()
    with database.read() as conn:
        assert models.get(conn, "m") == model


CRASH = """
import os, sys
from datetime import UTC, datetime
from unlearn_server.ledger import models
from unlearn_server.ledger.database import Database
database = Database.open(sys.argv[1])
with database.write() as conn:
    models.bump(conn, 1)
with database.write() as conn:
    models.delete(conn, 1, datetime.now(UTC))
    os._exit(9)
"""


def test_a_crash_keeps_what_was_committed_and_nothing_else(
    url: str, database: Database, model: Model
) -> None:
    crashed = subprocess.run([sys.executable, "-c", CRASH, url], check=False)
    assert crashed.returncode == 9
    with database.read() as conn:
        assert models.get(conn, "m").version == model.version + 1


def test_a_reader_sees_one_moment(database: Database, model: Model) -> None:
    with database.read() as reader:
        before = models.get(reader, "m")
        with database.write() as writer:
            models.bump(writer, model.key)
        assert models.get(reader, "m") == before
    with database.read() as reader:
        assert models.get(reader, "m").version == before.version + 1


def test_writers_take_turns(url: str, database: Database, model: Model) -> None:
    """What a writer has read stays so until it commits, other processes' writers included."""
    other = Database.open(url)

    def bump_often(mine: Database) -> None:
        for _ in range(10):
            with mine.write() as conn:
                version = models.get(conn, "m").version
                conn.execute(sa.update(MODELS).values(version=version + 1))

    threads = [Thread(target=bump_often, args=(mine,)) for mine in (database, other) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    with database.read() as conn:
        assert models.get(conn, "m").version == model.version + 40


@ON_SQLITE
@pytest.mark.usefixtures("model")
def test_a_checkpoint_empties_the_log_unless_a_reader_needs_it(
    tmp_path: Path, database: Database
) -> None:
    log = tmp_path / "ledger.sqlite-wal"
    with database.read() as reader:
        models.page(reader, 0, 1)
        assert not database.checkpoint()
    assert log.stat().st_size > 0
    assert database.checkpoint()
    assert log.stat().st_size == 0


def test_errors_carry_no_parameters(database: Database, model: Model) -> None:
    query = sa.insert(metadata.tables["samples"]).values(model_key=model.key, payload=b"ada")
    with pytest.raises(sa.exc.IntegrityError) as caught, database.write() as conn:
        conn.execute(query)
    assert "ada" not in str(caught.value)
