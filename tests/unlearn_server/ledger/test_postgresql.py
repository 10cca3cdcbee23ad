"""What is PostgreSQL's alone: how sessions are set up, and whose the database is."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from time import sleep

import pytest
import sqlalchemy as sa

from tests.postgres import Postgres
from unlearn_server.domain import Model, NewSample
from unlearn_server.errors import StartupError
from unlearn_server.ledger import models, samples
from unlearn_server.ledger.database import DATABASE_FILE, Database, url_of
from unlearn_server.ledger.schema import metadata

SECRET = "hunter2"  # noqa: S105 # of nobody


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.new_database()


class Server:
    """What a server has of a database."""

    def __init__(self, url: str) -> None:
        self.losses = 0
        self.database = Database.open(url, server=self._lose)

    def _lose(self) -> None:
        self.losses += 1


def name_of(url: str) -> str:
    name = sa.make_url(url).database
    assert name
    return name


def end_sessions(postgres: Postgres, condition: str) -> None:
    these = f"FROM pg_stat_activity WHERE {condition}"
    postgres.ask(f"SELECT pg_terminate_backend(pid, 10000) {these}")


def end_tenure(postgres: Postgres, url: str) -> None:
    """Ends the connection that holds a database for a server."""
    held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 2"
    end_sessions(postgres, f"datname = '{name_of(url)}' AND pid IN ({held})")


@pytest.mark.parametrize(("configured", "used"), [("off", "on"), ("remote_apply", "remote_apply")])
def test_a_commit_is_on_disk_whatever_the_database_would_do(
    postgres: Postgres, url: str, configured: str, used: str
) -> None:
    postgres.ask(f"ALTER DATABASE {name_of(url)} SET synchronous_commit = {configured}")
    database = Database.open(url)
    for transaction in (database.write, database.read):
        with transaction() as conn:
            assert conn.exec_driver_sql("SHOW synchronous_commit").scalar() == used
    database.close()


def test_nothing_is_waited_for_without_end(database: Database) -> None:
    with database.write() as conn:
        for name in ("lock_timeout", "statement_timeout"):
            assert conn.exec_driver_sql(f"SHOW {name}").scalar() not in {"0", None}


def test_writers_are_committed_readers_and_readers_see_one_moment(
    postgres: Postgres, url: str
) -> None:
    postgres.ask(f"ALTER DATABASE {name_of(url)} SET default_transaction_isolation = serializable")
    database = Database.open(url)
    show = "SHOW transaction_isolation"
    with database.write() as conn:
        assert conn.exec_driver_sql(show).scalar() == "read committed"
    with database.read() as conn:
        assert conn.exec_driver_sql(show).scalar() == "repeatable read"
    database.close()


def test_errors_quote_no_row(
    database: Database, model: Model, sample: Callable[[str], NewSample]
) -> None:
    """PostgreSQL's details do, as in: Key (sample_hash, model_key)=(\\x616461, 1) exists."""
    table = metadata.tables["samples"]
    with database.write() as conn:
        samples.insert(conn, model.key, [sample("ada")])
    for query in (
        sa.insert(table).values(model_key=model.key, payload=b"ada"),
        sa.insert(table).from_select(
            [c.name for c in table.c if c.name != "key"],
            sa.select(*(c for c in table.c if c.name != "key")),
        ),
    ):
        with pytest.raises(sa.exc.IntegrityError) as caught, database.write() as conn:
            conn.execute(query)
        words = str(caught.value) + str(caught.value.orig)
        assert "constraint" in words
        assert b"ada".hex() not in words
        assert caught.value.orig.sqlstate.startswith("23")  # type: ignore[union-attr]


def test_a_connection_that_was_cut_is_replaced(
    postgres: Postgres, url: str, database: Database, model: Model
) -> None:
    end_sessions(postgres, f"datname = '{name_of(url)}'")
    with database.write() as conn:
        assert models.bump(conn, model.key) == model.version + 1


def test_servers_are_together_and_a_command_is_alone(url: str) -> None:
    servers = [Server(url), Server(url)]
    with pytest.raises(StartupError, match="in use by a server; stop that one"):
        Database.open(url, alone=True)
    reader = Database.open(url)  # what only looks may do so meanwhile
    reader.close()
    for server in servers:
        with server.database.write() as conn:
            assert models.page(conn, 0, 1) == []
        server.database.close()
    command = Database.open(url, alone=True)
    with pytest.raises(StartupError, match="in use by a command that works on it alone"):
        Server(url)
    command.close()
    Server(url).database.close()
    assert [server.losses for server in servers] == [0, 0]


def test_a_newer_server_does_not_migrate_under_an_older_one(url: str) -> None:
    older = Server(url)
    with older.database.write() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '0006'")
    for kind in ({"server": lambda: None}, {"alone": True}):
        with pytest.raises(StartupError, match="servers of an older version use it; stop them"):
            Database.open(url, **kind)  # type: ignore[arg-type]
    older.database.close()


CRASH = """
import os, sys
from unlearn_server.ledger.database import Database
database = Database.open(sys.argv[1], alone=True)
os._exit(9)
"""


def test_who_crashed_is_in_nobodys_way(url: str) -> None:
    assert subprocess.run([sys.executable, "-c", CRASH, url], check=False).returncode == 9
    give_up = 200
    while True:
        try:
            Database.open(url, alone=True).close()
            return
        except StartupError:  # until PostgreSQL has seen that it is gone
            assert (give_up := give_up - 1)
            sleep(0.05)


def test_a_server_that_lost_the_database_writes_no_more(
    postgres: Postgres, url: str, model: Model
) -> None:
    old = Server(url)
    end_tenure(postgres, url)
    new = Database.open(url, alone=True)
    with (
        pytest.raises(ConnectionError, match="not this server's any more"),
        old.database.write() as conn,
    ):
        models.bump(conn, model.key)
    with new.write() as conn:
        assert models.bump(conn, model.key) == model.version + 1
    for database in (old.database, new):
        database.close()


def test_a_command_sees_what_a_server_still_committed(
    postgres: Postgres, url: str, model: Model
) -> None:
    """A transaction that began while the server was at the database holds the command up."""
    old, new = Server(url), []
    waits = "SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database WHERE "
    waits += f"datname = '{name_of(url)}' AND locktype = 'advisory' AND NOT granted"
    with old.database.write() as conn:
        end_tenure(postgres, url)
        starting = Thread(target=lambda: new.append(Database.open(url, alone=True)))
        starting.start()
        while postgres.ask(waits) != [(1,)]:
            assert starting.is_alive(), "it did not wait"
            sleep(0.01)
        models.bump(conn, model.key)
    starting.join()
    [command] = new
    with command.read() as conn:
        assert models.get(conn, "m").version == model.version + 1
    for database in (old.database, command):
        database.close()


def test_a_commit_that_got_no_answer_is_a_loss(postgres: Postgres, url: str, model: Model) -> None:
    """It may have been made or not; here it was not."""
    server = Server(url)

    def write() -> None:
        with server.database.write() as conn:
            models.bump(conn, model.key)
            pid = conn.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            end_sessions(postgres, f"pid = {pid}")

    with pytest.raises(sa.exc.OperationalError):
        write()
    assert server.losses == 1
    with server.database.read() as conn:
        assert models.get(conn, "m").version == model.version
    server.database.close()


def test_a_statement_that_got_no_answer_is_no_loss(
    postgres: Postgres, url: str, model: Model
) -> None:
    """Nothing was committed, for sure."""
    server = Server(url)

    def write() -> None:
        with server.database.write() as conn:
            pid = conn.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            end_sessions(postgres, f"pid = {pid}")
            models.bump(conn, model.key)

    with pytest.raises(sa.exc.OperationalError):
        write()
    assert server.losses == 0
    with server.database.write() as conn:
        assert models.bump(conn, model.key) == model.version + 1
    server.database.close()


def test_a_server_notices_by_itself_that_it_lost_the_database(postgres: Postgres, url: str) -> None:
    server = Server(url)
    server.database.campaign("here:1", lambda: None)
    end_tenure(postgres, url)
    while not server.losses:
        sleep(0.01)
    server.database.close()


def test_without_a_url_the_database_is_sqlites_in_the_data_directory(tmp_path: Path) -> None:
    assert url_of(tmp_path, None) == f"sqlite:///{tmp_path / DATABASE_FILE}"


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_a_url_may_leave_the_driver_out(tmp_path: Path, url: str, scheme: str) -> None:
    there = url.replace("postgresql", scheme, 1)
    assert url_of(tmp_path, there) == there
    database = Database.open(there)
    with database.read() as conn:
        assert conn.engine.driver == "psycopg"
    database.close()


@pytest.mark.parametrize(
    "wrong",
    [
        f"mysql://me:{SECRET}@host/db",
        f"sqlite:///{SECRET}.db",
        f"postgresql://me@host:{SECRET}/db",
        f"me:{SECRET}@host",
        "",
    ],
)
def test_what_is_no_url_is_refused_and_not_repeated(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(StartupError, match="--database: is no URL such as") as caught:
        url_of(tmp_path, wrong)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        f"postgresql://me:{SECRET}@localhost:1/db",  # nobody listens
        f"postgresql://me:p@{SECRET}/db",  # an @ in the password
        f"postgresql://me@localhost/db?{SECRET}=1",
    ],
)
def test_a_database_that_cannot_be_had_is_told_without_the_password(wrong: str) -> None:
    with pytest.raises(StartupError, match="cannot be used; see that --database") as caught:
        Database.open(wrong, server=lambda: None)
    assert SECRET not in str(caught.value)
