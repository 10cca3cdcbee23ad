from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from unlearn_server.domain import (
    Erasure,
    ErasureState,
    KeyKind,
    Method,
    Model,
    NewSample,
    Retention,
    Sealed,
    Selection,
)
from unlearn_server.ledger import erasures, key_ids, models, samples
from unlearn_server.ledger.database import Database
from unlearning.objective import Objective

MASTER = b"master".ljust(16, b"-")
NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(scope="session")
def objective() -> Objective:
    return Objective(
        core_digest="c0" * 32,
        feature_map="head:1x1",
        width=3,
        feature_bound=4.0,
        ridge=5,
        label_scale=7,
        classes=("cat", "dog"),
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where there is no database yet, of either kind: what holds of one must hold of both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.sqlite"
    new: str = request.getfixturevalue("postgres").new_database()
    return new


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database.open(url)
    with database.write() as conn:
        key_ids.add(conn, KeyKind.MASTER, MASTER)
    yield database
    database.close()


@pytest.fixture
def create(database: Database, objective: Objective) -> Callable[[str], Model]:
    def create(model_id: str) -> Model:
        with database.write() as conn:
            return models.insert(
                conn,
                model_id=model_id,
                core="features:2",
                objective=objective,
                minimum_cohort=2,
                create_time=NOW,
            )

    return create


@pytest.fixture
def model(create: Callable[[str], Model]) -> Model:
    return create("m")


@pytest.fixture
def refresh(database: Database) -> Callable[[Model], Model]:
    def refresh(model: Model) -> Model:
        with database.read() as conn:
            return models.get(conn, model.model_id)

    return refresh


class MakeSample(Protocol):
    def __call__(
        self, name: str, subject: str | None = ..., retention: Retention = ...
    ) -> NewSample: ...


@pytest.fixture(scope="session")
def sample() -> MakeSample:
    def sample(
        name: str, subject: str | None = "ada", retention: Retention = Retention.USER
    ) -> NewSample:
        return NewSample(
            sample_hash=name.encode().ljust(32, b"-"),
            subject_hash=None if subject is None else subject.encode().ljust(32, b"-"),
            content_hash=f"content of {name}".encode().ljust(32, b"-"),
            retention=retention,
            sealed=Sealed(f"payload of {name}".encode(), f"key of {name}".encode(), MASTER),
        )

    return sample


@pytest.fixture
def fill(database: Database) -> Callable[..., None]:
    def fill(model: Model, *rows: NewSample) -> None:
        with database.write() as conn:
            models.bump(conn, model.key)
            samples.insert(conn, model.key, rows)

    return fill


@pytest.fixture(scope="session")
def draft() -> Callable[..., Erasure]:
    """An erasure that is not stored yet."""

    def draft(
        request_id: str, model_ids: Sequence[str], selection: Selection, due_time: datetime = NOW
    ) -> Erasure:
        return Erasure(
            key=0,
            request_id=request_id,
            fingerprint=b"f" * 32,
            selection=selection,
            subject_root=b"r" * 32,
            commitment_salt=b"s" * 32,
            models=tuple(model_ids),
            method=Method.EXACT,
            regulation="gdpr",
            state=ErasureState.PENDING,
            state_reason="",
            outcomes=(),
            receive_time=NOW,
            due_time=due_time,
            complete_time=None,
        )

    return draft


@pytest.fixture
def accept(database: Database, draft: Callable[..., Erasure]) -> Callable[..., Erasure]:
    def accept(request_id: str, *args: Any) -> Erasure:
        with database.write() as conn:
            return erasures.insert(conn, [draft(request_id, *args)])[request_id]

    return accept
