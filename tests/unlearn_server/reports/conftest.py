"""Ledgers filled row by row, and what tests read reports with."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID

import pypdfium2
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from unlearn_server.certifying import Certifier
from unlearn_server.domain import ErasureState, Method, SelectionKind
from unlearn_server.ledger import models
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.schema import erasure_models, erasures, outcomes
from unlearning.information import bound
from unlearning.objective import Objective

START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Request:
    """A request as it is to stand in a ledger; hours count from START."""

    received: float
    due: float = 30 * 24.0
    closed: float | None = None
    state: ErasureState = ErasureState.SUCCEEDED
    regulation: str = "gdpr"
    erased: tuple[int, ...] = ()  # of each outcome, the first in the first model
    mu: float = 0.0
    method: Method = Method.EXACT


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def fill(database: Database, requests: Sequence[Request]) -> None:
    """Writes requests, their outcomes certified in this order (but the log stays empty)."""
    leaf = 0
    objective = Objective("c0" * 32, "head:1x1", 3, 4.0, 5, 7, ("cat", "dog"))
    with database.write() as conn:
        key = Ed25519PrivateKey.from_private_bytes(bytes(32))
        Certifier(key).open(conn, "unlearn.example/log")
        made = [
            models.insert(
                conn,
                model_id=f"m{i}",
                core="features:2",
                objective=objective,
                minimum_cohort=0,
                create_time=START,
            ).key
            for i in range(3)
        ]
        for key, each in enumerate(requests, 1):
            conn.execute(sa.insert(erasures), _row(key, each))
            for model_key, count in zip(made, each.erased, strict=False):
                pair = {"erasure_key": key, "model_key": model_key}
                conn.execute(sa.insert(erasure_models), {**pair, "position": 0})
                conn.execute(
                    sa.insert(outcomes),
                    {
                        **pair,
                        "method": each.method,
                        "erased_samples": count,
                        "solve": None,
                        "bound": replace(bound(each.mu, 1, ("the sun rises",)), cohort=1),
                        "leaf_index": leaf,
                    },
                )
                leaf += 1


def request_id(key: int) -> str:
    return str(UUID(int=key, version=4))


def _row(key: int, each: Request) -> dict[str, Any]:
    return {
        "key": key,
        "request_id": request_id(key),
        "fingerprint": b"f" * 32,
        "selection_kind": SelectionKind.SUBJECTS,
        "selection_hashes": b"h" * 32,
        "method": each.method,
        "regulation": each.regulation,
        "state": each.state,
        "state_reason": "",
        "receive_time": at(each.received),
        "due_time": at(each.received + each.due),
        "complete_time": None if each.closed is None else at(each.closed),
    }


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Callable[[Sequence[Request]], Database]]:
    """Makes a database that holds these requests."""
    opened: list[Database] = []

    def ledger(requests: Sequence[Request]) -> Database:
        opened.append(Database.open(f"sqlite:///{tmp_path}/{len(opened)}.db"))
        fill(opened[-1], requests)
        return opened[-1]

    yield ledger
    for database in opened:
        database.close()


class Page(HTMLParser):
    """The text and the tables of a page, and every address in it."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.text: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self._in_cell = False
        self.feed(content.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        self._in_cell = tag in {"td", "th"}
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif self._in_cell:
            self.tables[-1][-1].append("")

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._in_cell:
            self.tables[-1][-1][-1] += data.rstrip("\n")


def words_of(pdf: bytes) -> list[str]:
    """The words of each page, as another program than ours reads them."""
    document = pypdfium2.PdfDocument(pdf)
    pages = [page.get_textpage().get_text_range() for page in document]
    return " ".join(pages).replace("\u200b", "").split()
