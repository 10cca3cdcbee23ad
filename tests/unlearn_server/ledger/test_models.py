from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from unlearn_server.domain import Model, NewSample, Retention
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger import models, releases
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.schema import metadata
from unlearning.objective import Objective
from unlearning.rounding import SolveReport


def test_a_new_model_is_empty(model: Model, objective: Objective) -> None:
    assert (model.model_id, model.core, model.minimum_cohort) == ("m", "features:2", 2)
    assert (model.sample_count, model.subject_count, model.release) == (0, 0, None)
    assert model.objective == objective


def test_times_come_back_exactly(model: Model) -> None:
    assert model.create_time == datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert model.create_time.utcoffset() == timedelta(0)


def test_an_id_is_taken_once_and_for_all(
    database: Database, model: Model, create: Callable[[str], Model]
) -> None:
    with pytest.raises(ServiceError) as caught:
        create("m")
    assert caught.value.reason is Reason.MODEL_EXISTS
    with database.write() as conn:
        models.delete(conn, model.key, model.create_time)
    with pytest.raises(ServiceError) as caught:
        create("m")
    assert caught.value.reason is Reason.MODEL_EXISTS


def test_each_bump_raises_the_version(database: Database, model: Model) -> None:
    with database.write() as conn:
        raised = [models.bump(conn, model.key) for _ in range(3)]
        assert models.get(conn, "m").version == raised[-1]
    assert raised == [model.version + 1, model.version + 2, model.version + 3]


def test_tells_the_models_that_exist(database: Database, create: Callable[[str], Model]) -> None:
    a, _ = create("a"), create("b")
    with database.write() as conn:
        models.delete(conn, a.key, a.create_time)
        assert models.existing(conn, {"a", "b", "c"}) == {"b": False}
        assert models.existing(conn, ()) == {}


def test_pages_are_in_order_of_creation_without_the_deleted(
    database: Database, create: Callable[[str], Model]
) -> None:
    c, a, b = create("c"), create("a"), create("b")
    with database.write() as conn:
        models.delete(conn, a.key, a.create_time)
    with database.read() as conn:
        assert models.page(conn, 0, 10) == [c, b]
        assert models.page(conn, 0, 1) == [c]
        assert models.page(conn, c.key, 1) == [b]
        assert models.page(conn, b.key, 1) == []


def test_a_deleted_model_takes_its_rows_along_and_no_others(
    database: Database,
    create: Callable[[str], Model],
    fill: Callable[..., None],
    sample: Callable[..., NewSample],
) -> None:
    doomed, kept = create("doomed"), create("kept")
    for model in (doomed, kept):
        fill(model, sample("a"), sample("b", None, Retention.CORE))
        with database.write() as conn:
            releases.insert(
                conn,
                model.key,
                sample_count=2,
                solve=SolveReport("exact", 0.5, 0.25, True),
                sealed=sample("a").sealed,
                weights_commitment=b"wc",
                state_commitment=b"sc",
                create_time=model.create_time,
            )
    with database.write() as conn:
        models.delete(conn, doomed.key, doomed.create_time)
    with database.read() as conn:
        with pytest.raises(ServiceError) as caught:
            models.get(conn, "doomed")
        assert caught.value.reason is Reason.MODEL_NOT_FOUND
        assert models.get(conn, "kept").sample_count == 2
        counts = {
            name: conn.scalar(sa.select(sa.func.count()).select_from(metadata.tables[name]))
            for name in ("models", "samples", "sample_keys", "releases", "release_keys")
        }
    assert counts == {
        "models": 2,
        "samples": 2,
        "sample_keys": 2,
        "releases": 1,
        "release_keys": 1,
    }
