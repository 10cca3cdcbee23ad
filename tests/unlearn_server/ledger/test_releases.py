from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path

import pytest
import sqlalchemy as sa

from unlearn_server.domain import Model, Release, ReleaseState, Sealed
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger import models, releases
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.schema import metadata
from unlearning.rounding import SolveReport

MASTER = b"master".ljust(16, b"-")
ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
START = datetime(2026, 3, 1, tzinfo=UTC)
Serve = Callable[..., Release]


@pytest.fixture
def serve(database: Database) -> Serve:
    def serve(model: Model, hour: int, request_id: str | None = None) -> Release:
        with database.write() as conn:
            return releases.insert(
                conn,
                model.key,
                sample_count=hour,
                solve=SolveReport("exact", 0.1, inf, True),
                sealed=Sealed(b"weights of %d" % hour, b"key of %d" % hour, MASTER),
                weights_commitment=b"wc of %d" % hour,
                state_commitment=b"sc of %d" % hour,
                create_time=START + timedelta(hours=hour),
                request_id=request_id,
            )

    return serve


def test_a_release_comes_back_as_it_was(database: Database, model: Model, serve: Serve) -> None:
    release = serve(model, 1)
    with database.read() as conn:
        assert releases.get(conn, model.key, 1) == release
    assert release == Release(
        number=1,
        state=ReleaseState.SERVING,
        sample_count=1,
        solve=SolveReport("exact", 0.1, inf, True),
        create_time=START + timedelta(hours=1),
        destroy_time=None,
        sealed=Sealed(b"weights of 1", b"key of 1", MASTER),
        weights_commitment=b"wc of 1",
        state_commitment=b"sc of 1",
    )
    with database.read() as conn:
        assert releases.serving(conn, model.key) == release
        stored = sa.type_coerce(metadata.tables["releases"].c.solve, sa.JSON)
        assert conn.scalar(sa.select(stored["distance_bound"].as_string())) == "Infinity"


def test_the_next_release_destroys_the_one_before(
    database: Database, model: Model, serve: Serve
) -> None:
    serve(model, 1)
    second = serve(model, 2)
    with database.read() as conn:
        first = releases.get(conn, model.key, 1)
        assert releases.serving(conn, model.key) == second
    assert (first.state, first.destroy_time) == (ReleaseState.DESTROYED, second.create_time)
    assert first.sample_count == 1
    assert (first.sealed, first.solve) == (None, None)
    assert (first.weights_commitment, first.state_commitment) == (None, None)


@ON_SQLITE
def test_no_byte_of_a_destroyed_release_stays_on_disk(
    tmp_path: Path, database: Database, model: Model, serve: Serve
) -> None:
    serve(model, 1)
    serve(model, 2)
    assert database.checkpoint()
    disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"weights of 2" in disk
    assert not any(b"%s of 1" % name in disk for name in (b"weights", b"key", b"wc", b"sc"))


def test_models_number_and_serve_their_releases_apart(
    database: Database, create: Callable[[str], Model], serve: Serve
) -> None:
    first, second = create("first"), create("second")
    serve(first, 1)
    serve(first, 2)
    serve(second, 3)
    with database.read() as conn:
        assert models.get(conn, "first").release == 2
        assert models.get(conn, "second").release == 1
        assert releases.count_by_model(conn) == {"first": 2, "second": 1}


def test_a_model_without_releases_serves_none(database: Database, model: Model) -> None:
    with database.read() as conn:
        assert releases.serving(conn, model.key) is None
        assert releases.count_by_model(conn) == {"m": 0}
        with pytest.raises(ServiceError) as caught:
            releases.get(conn, model.key, 1)
    assert caught.value.reason is Reason.RELEASE_NOT_FOUND


def test_a_request_makes_one_release_of_a_model(
    database: Database, create: Callable[[str], Model], serve: Serve
) -> None:
    first, second = create("first"), create("second")
    serve(first, 1, "r")
    serve(second, 2, "r")
    serve(first, 3)
    with database.read() as conn:
        made = releases.by_request(conn, first.key, "r")
        assert releases.by_request(conn, first.key, "other") is None
    assert made is not None
    assert (made.number, made.state) == (1, ReleaseState.DESTROYED)
    with pytest.raises(sa.exc.IntegrityError):
        serve(first, 4, "r")


def test_the_database_itself_lets_only_one_release_serve(
    database: Database, model: Model, serve: Serve
) -> None:
    serve(model, 1)
    serve(model, 2)
    with pytest.raises(sa.exc.IntegrityError), database.write() as conn:
        conn.execute(sa.text("UPDATE releases SET state = 'SERVING'"))


def begin(database: Database, model: Model, request_id: str) -> Release:
    with database.write() as conn:
        return releases.begin(conn, model.key, START, request_id)


def test_a_release_that_is_solved_for_serves_under_its_own_name(
    database: Database, model: Model, serve: Serve
) -> None:
    serve(model, 1)
    begun = begin(database, model, "r")
    assert (begun.number, begun.state, begun.solve) == (2, ReleaseState.SOLVING, None)
    with database.read() as conn:
        assert releases.solving(conn, model.key) == begun
        assert releases.by_request(conn, model.key, "r") == begun
        assert releases.models_with_solving(conn) == ["m"]
        serving = releases.serving(conn, model.key)
        assert serving is not None
        assert serving.number == 1
    served = serve(model, 3)
    with database.read() as conn:
        assert served.number == 2
        assert releases.by_request(conn, model.key, "r") == served
        assert releases.get(conn, model.key, 1).state is ReleaseState.DESTROYED
        assert releases.models_with_solving(conn) == []
        assert releases.count_by_model(conn) == {"m": 2}


def test_a_release_that_failed_leaves_the_one_before_and_its_number_is_not_used_again(
    database: Database, model: Model, serve: Serve
) -> None:
    first = serve(model, 1)
    begin(database, model, "r")
    with database.write() as conn:
        releases.fail(conn, model.key)
        assert releases.get(conn, model.key, 2).state is ReleaseState.FAILED
        assert releases.serving(conn, model.key) == first
    assert serve(model, 2).number == 3


def test_one_release_at_a_time_is_solved_for(database: Database, model: Model) -> None:
    begin(database, model, "r")
    with pytest.raises(sa.exc.IntegrityError):
        begin(database, model, "s")
