"""Which of several servers erases, told by servers' parts in this process and a real database."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import Event, Thread

import pytest

from tests.postgres import Postgres
from unlearn_server.domain import Model
from unlearn_server.errors import TakenOverError
from unlearn_server.ledger import lease, models
from unlearn_server.ledger.database import Database

PATIENCE = 20.0
LEASE_SECONDS = 0.5


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SECONDS", LEASE_SECONDS)
    monkeypatch.setattr(lease, "_BEAT_SECONDS", 0.05)


class Server:
    """What a server has of a database, and what it heard."""

    def __init__(self, url: str, address: str) -> None:
        self.news, self.lost = Event(), Event()
        self.database = Database.open(url, server=self.lost.set)
        self.database.campaign(address, self.news.set)
        self.is_there = True

    def leave(self) -> None:
        if self.is_there:
            self.database.close()
        self.is_there = False

    @property
    def lease(self) -> lease.Lease:
        found = self.database._lease
        assert found
        return found


@pytest.fixture
def serve(url: str) -> Iterator[Callable[[str], Server]]:
    servers: list[Server] = []

    def serve(address: str) -> Server:
        servers.append(Server(url, address))
        return servers[-1]

    yield serve
    for server in servers:
        server.leave()


def wait_for(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def silence(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Keeps a server's lease from beating and looking, as SIGSTOP would."""
    monkeypatch.setattr(server.lease, "_look", lambda: None)


def test_a_single_server_holds_the_lease_once_it_is_up(serve: Callable[[str], Server]) -> None:
    server = serve("a:1")
    assert server.database.fence == 1
    assert server.database.holder == "a:1"
    assert server.news.is_set()


def test_others_know_the_holder_and_write_nothing_that_rests_on_memory(
    serve: Callable[[str], Server], model: Model
) -> None:
    holder, other = serve("a:1"), serve("b:1")
    assert (holder.database.fence, other.database.fence) == (1, None)
    assert other.database.holder == "a:1"
    with pytest.raises(TakenOverError):
        other.database.hold()
    with other.database.write() as conn:  # what rests on nothing but the database is anybody's
        models.bump(conn, model.key)


def test_a_lease_outlives_many_of_its_terms(serve: Callable[[str], Server]) -> None:
    holder, other = serve("a:1"), serve("b:1")
    time.sleep(4 * LEASE_SECONDS)
    assert (holder.database.fence, other.database.fence) == (1, None)


def test_who_finds_no_connection_free_takes_the_lease_later(
    serve: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, other = serve("a:1"), serve("b:1")
    pool = other.database._engine.pool
    monkeypatch.setattr(pool, "_timeout", 0.01)
    with ExitStack() as stack:
        for _ in range(pool.size() + pool._max_overflow - pool.checkedout()):  # type: ignore[attr-defined]
            stack.enter_context(other.database._engine.connect())
        silence(monkeypatch, holder)
        time.sleep(4 * LEASE_SECONDS)
        assert (other.database.fence, other.lost.is_set()) == (None, False)
    wait_for(lambda: other.database.fence)
    assert other.database.fence == 2


def test_who_leaves_makes_room_at_once(
    serve: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, other = serve("a:1"), serve("b:1")
    monkeypatch.setattr(lease, "SECONDS", 1000.0)  # not by running out
    holder.leave()
    wait_for(lambda: other.database.fence)
    assert other.database.fence == 2
    assert other.database.holder == "b:1"


def test_a_holder_that_is_stopped_may_neither_answer_nor_write_once_it_wakes(
    serve: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch, model: Model
) -> None:
    holder, other = serve("a:1"), serve("b:1")
    fence = holder.database.hold()
    silence(monkeypatch, holder)
    wait_for(lambda: other.database.fence)
    assert holder.database.fence is None  # though it does not know of the other
    with pytest.raises(TakenOverError), holder.database.write(fence) as conn:
        models.bump(conn, model.key)
    with other.database.write(other.database.hold()) as conn:
        assert models.get(conn, "m").version == model.version


def test_a_holder_never_believes_so_for_longer_than_others_wait(
    serve: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, other = serve("a:1"), serve("b:1")
    silence(monkeypatch, holder)
    while other.database.fence is None:
        was_sure = holder.database.fence is not None
        has_lost_it = other.database.fence is not None
        assert not (was_sure and has_lost_it and holder.database.fence is not None)
    assert holder.database.fence is None


def test_what_was_begun_before_the_lease_was_lost_is_refused_even_if_it_is_held_again(
    serve: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch, model: Model
) -> None:
    """Another server may have changed anything in between."""
    holder, other = serve("a:1"), serve("b:1")
    begun = holder.database.hold()
    with monkeypatch.context() as stopped:
        silence(stopped, holder)
        wait_for(lambda: other.database.fence)
    other.leave()
    wait_for(lambda: holder.database.fence)
    assert holder.database.fence == 3
    with pytest.raises(TakenOverError), holder.database.write(begun) as conn:
        models.bump(conn, model.key)
    with holder.database.write(holder.database.hold()) as conn:
        assert models.get(conn, "m").version == model.version


def test_what_the_holder_is_committing_comes_before_what_the_next_one_reads(
    serve: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch, model: Model
) -> None:
    holder, other = serve("a:1"), serve("b:1")
    with holder.database.write(holder.database.hold()) as conn:
        silence(monkeypatch, holder)
        models.bump(conn, model.key)
        time.sleep(3 * LEASE_SECONDS)
        assert other.database.fence is None
    wait_for(lambda: other.database.fence)
    with other.database.read() as conn:
        assert models.get(conn, "m").version == model.version + 1


def test_a_holder_that_goes_on_while_another_waits_to_take_its_place_keeps_it(
    serve: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch, postgres: Postgres
) -> None:
    holder, other = serve("a:1"), serve("b:1")
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with holder.database.write(holder.database.hold()):
        with monkeypatch.context() as stopped:
            silence(stopped, holder)
            wait_for(lambda: postgres.ask(waits) == [(1,)])
        wait_for(lambda: holder.database.fence)
    wait_for(lambda: postgres.ask(waits) == [(0,)])
    time.sleep(LEASE_SECONDS / 2)
    assert (holder.database.fence, other.database.fence) == (1, None)
    with holder.database.write(1):
        pass


def test_a_writer_that_is_stopped_loses_its_turn(
    serve: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch, model: Model
) -> None:
    holder, other = serve("a:1"), serve("b:1")

    def stop_in_a_transaction() -> None:
        with holder.database.write(holder.database.hold()) as conn:
            models.bump(conn, model.key)
            conn.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '200ms'")
            silence(monkeypatch, holder)
            wait_for(lambda: other.database.fence)

    with pytest.raises(Exception, match="idle-in-transaction"):
        stop_in_a_transaction()
    with other.database.read() as conn:
        assert models.get(conn, "m").version == model.version


def test_a_write_is_news_to_the_others_once_it_is_committed(
    serve: Callable[[str], Server], model: Model
) -> None:
    servers = [serve("a:1"), serve("b:1")]
    for writer, reader in (servers, servers[::-1]):
        with writer.database.write() as conn:
            for server in servers:
                server.news.clear()
            models.bump(conn, model.key)
            assert not reader.news.wait(0.3)
        assert reader.news.wait(PATIENCE)
        assert not writer.news.is_set()


def test_a_server_that_starts_after_a_crash_waits_until_the_lease_has_run_out(
    serve: Callable[[str], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    silence(monkeypatch, serve("a:1"))
    started = time.monotonic()
    second = serve("b:1")
    assert second.database.fence == 2
    assert time.monotonic() - started > LEASE_SECONDS


def test_servers_that_start_together_agree(url: str) -> None:
    servers: list[Server] = []
    threads = [Thread(target=lambda i=i: servers.append(Server(url, f"{i}:1"))) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: sum(server.database.fence is not None for server in servers) == 1)
    [holder] = {server.database.holder for server in servers}
    assert holder
    for server in servers:
        server.leave()
