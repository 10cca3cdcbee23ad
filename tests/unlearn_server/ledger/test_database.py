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
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from unlearn_server.domain import Model
from unlearn_server.errors import StartupError
from unlearn_server.ledger import models, releases, samples
from unlearn_server.ledger.database import MIGRATIONS, Database
from unlearn_server.ledger.schema import metadata
from unlearning.objective import Objective
from unlearning.rounding import SolveReport

OBJECTIVE = Objective("c0" * 32, "identity", 3, 4.0, 5, 7, ("cat", "dog"))


def pragma(database: Database, name: str) -> object:
    with database.read() as conn:
        return conn.exec_driver_sql(f"PRAGMA {name}").scalar()


@pytest.mark.parametrize(
    ("name", "setting"),
    [("journal_mode", "wal"), ("synchronous", 2), ("secure_delete", 1), ("foreign_keys", 1)],
)
def test_sqlite_is_durable_and_forgets(database: Database, name: str, setting: object) -> None:
    assert pragma(database, name) == setting


def test_migrations_make_the_tables_of_the_schema(database: Database) -> None:
    with database.read() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []


def test_the_schema_is_valid_for_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            assert "INDEX" in str(CreateIndex(index).compile(dialect=dialect))


def test_opening_again_keeps_what_is_there(tmp_path: Path, model: Model) -> None:
    again = Database.open(f"sqlite:///{tmp_path}/ledger.sqlite")
    with again.read() as conn:
        assert models.get(conn, "m") == model
    again.close()


def test_what_an_older_version_wrote_is_kept_and_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "old.sqlite"
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.begin() as conn:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = conn
        command.upgrade(config, "0001")
        conn.exec_driver_sql(
            "INSERT INTO models VALUES (1, 'm', 'features:2', ?, 0, 0, 0, 0, 1, 0, NULL)",
            (json.dumps(OBJECTIVE.to_json()),),
        )
        conn.exec_driver_sql(
            "INSERT INTO releases (model_key, number, state, sample_count, solve, create_time)"
            " VALUES (1, 1, 'SERVING', 3, ?, 0)",
            (json.dumps(vars(SolveReport("exact", 0.5, 0.25, True))),),
        )
    engine.dispose()
    database = Database.open(f"sqlite:///{file}")
    with database.write() as conn:
        model = models.get(conn, "m")
        assert model.objective == OBJECTIVE
        release = releases.serving(conn, model.key)
        assert release is not None
        assert release.solve == SolveReport("exact", 0.5, 0.25, True)
        assert releases.begin(conn, model.key, release.create_time, "r").number == 2
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
    database.close()


def test_refuses_a_database_of_a_newer_version(tmp_path: Path, database: Database) -> None:
    with database.write() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StartupError, match="newer version"):
        Database.open(f"sqlite:///{tmp_path}/ledger.sqlite")
    with database.read() as conn:
        assert conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "9999"


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
    tmp_path: Path, database: Database, model: Model
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
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


def test_writers_take_turns(database: Database, model: Model) -> None:
    def bump_often() -> None:
        for _ in range(10):
            with database.write() as conn:
                models.bump(conn, model.key)

    threads = [Thread(target=bump_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as conn:
        assert models.get(conn, "m").version == model.version + 40


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
