"""How long a report of many erasures takes, how much memory, and how large it is.

``python -m tests.benchmarks.report_size [ERASURES]`` fills a ledger with rows as the server
writes them, and makes each form of the report in a process of its own.
"""

import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from time import perf_counter
from uuid import UUID

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.benchmarks.words import table
from unlearn_server import deadlines
from unlearn_server.certifying import Certifier
from unlearn_server.domain import ErasureState, Method, SelectionKind
from unlearn_server.ledger import models
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.schema import erasure_models, erasures, outcomes
from unlearn_server.reports.reporting import FORMS, Reporter
from unlearning.objective import Objective
from unlearning.release import NO_LEAKAGE

ERASURES = 100_000
START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 7, 1, tzinfo=UTC)


def fill(database: Database, count: int) -> None:
    """So many erasures of five models over the period; a few are late, or open, or cancelled."""
    random = Random(5)  # what it draws is no secret
    objective = Objective("c0" * 32, "head:1x1", 3, 4.0, 5, 7, ("cat", "dog"))
    with database.write() as conn:
        Certifier(Ed25519PrivateKey.generate()).open(conn, "unlearn.example/log")
        keys = [
            models.insert(
                conn,
                model_id=f"model-{i}",
                core="features:2",
                objective=objective,
                minimum_cohort=0,
                create_time=START,
            ).key
            for i in range(5)
        ]
        for first in range(0, count, 10_000):
            last = min(first + 10_000, count)
            _insert(conn, [_rows(i, i / count, random, keys) for i in range(first, last)])


def _insert(conn: sa.Connection, rows: list[tuple[dict, dict, dict | None]]) -> None:
    conn.execute(sa.insert(erasures), [row[0] for row in rows])
    conn.execute(sa.insert(erasure_models), [row[1] for row in rows])
    conn.execute(sa.insert(outcomes), [row[2] for row in rows if row[2]])


def _rows(
    index: int, share: float, random: Random, models: list[int]
) -> tuple[dict, dict, dict | None]:
    closed = START + (END - START) * share
    received = closed - timedelta(days=min(random.expovariate(0.2), 36))
    state = ErasureState.SUCCEEDED
    if index % 1000 == 7:
        state = ErasureState.CANCELLED
    elif index % 5000 == 9:
        state = ErasureState.PENDING
    pair = {"erasure_key": index + 1, "model_key": random.choice(models)}
    erasure = {
        "key": index + 1,
        "request_id": str(UUID(int=random.getrandbits(128), version=4)),
        "fingerprint": random.randbytes(32),
        "selection_kind": SelectionKind.SUBJECTS,
        "selection_hashes": random.randbytes(32),
        "method": Method.EXACT,
        "regulation": "gdpr",
        "state": state,
        "state_reason": "",
        "receive_time": received,
        "due_time": deadlines.due(received),
        "complete_time": None if state is ErasureState.PENDING else closed,
    }
    if state is not ErasureState.SUCCEEDED:
        return erasure, {**pair, "position": 0}, None
    outcome = {
        **pair,
        "method": Method.EXACT,
        "erased_samples": random.randint(1, 40),
        "release_before": index + 1,
        "release_after": index + 2,
        "solve": None,
        "bound": NO_LEAKAGE.bound(1),
        "leaf_index": index,
    }
    return erasure, {**pair, "position": 0}, outcome


def measure(file: str, media_type: str) -> None:
    """Writes the report beside the database; says seconds, peak bytes and size."""
    database = Database.open(f"sqlite:///{file}")
    started = perf_counter()
    content = Reporter(database).report(START, END, media_type)
    seconds = perf_counter() - started
    kib = sum(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    Path(file).with_suffix("." + media_type.rpartition("/")[2]).write_bytes(content)
    sys.stdout.write(f"{seconds} {kib * 1024} {len(content)}")


def main(count: int, folder: Path) -> None:
    """Fills, measures each form, and prints a table."""
    file = folder / "report.db"
    database = Database.open(f"sqlite:///{file}")
    fill(database, count)
    database.close()
    rows = []
    for media_type in FORMS:
        command = [sys.executable, "-m", __spec__.name, "measure", str(file), media_type]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, peak, size = map(float, done.stdout.split())
        rows.append(
            [media_type, f"{seconds:.1f} s", f"{peak / 2**20:,.0f} MiB", f"{size / 2**20:,.1f} MiB"]
        )
    sys.stdout.write(table([f"{count:,} erasures", "time", "peak memory", "size"], rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(*sys.argv[2:])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(int(sys.argv[1]) if sys.argv[1:] else ERASURES, Path(folder))
