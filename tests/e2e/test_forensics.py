"""After an erasure nothing of the person can be read, on either database.

The server runs with a temporary folder and a log of its own; PostgreSQL is one that logs every
statement with its parameters. What PostgreSQL's files keep is ciphertext, and said here exactly.
"""

import io
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from PIL import Image
from sqlalchemy import create_engine, text

from tests.e2e.commands import exit_code
from tests.e2e.forensics import Pieces, Scene, encoded, numbers, parts, traces
from tests.postgres import Postgres, binaries, running
from unlearn.v1.erasure_pb2 import Erasure
from unlearn.v1.model_pb2 import Features, Sample
from unlearn_client import Selection
from unlearn_server import rows
from unlearn_server.domain import Sealed
from unlearn_server.errors import DecryptionError
from unlearn_server.keys import KeyRing

CLASSES = ["cat", "dog"]
WIDTH = 24
HERS, HIS = "ada.lovelace-6c1e@example.org", "bob-5512@example.org"
SECRETS = ("master.key", "id-hashing.key", "signing.key")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    if binaries() is None:
        pytest.skip("PostgreSQL's initdb and postgres are not installed")
    with running() as postgres:
        for setting in ("log_statement = 'all'", "autovacuum_naptime = '1s'"):
            postgres.ask(f"ALTER SYSTEM SET {setting}")
        postgres.ask("SELECT pg_reload_conf()")
        yield postgres


@dataclass(frozen=True)
class Place:
    """A database, and where it keeps itself."""

    url: str | None
    folder: Path | None
    process: int | None

    def query(self, data_dir: Path, statement: str) -> list[Any]:
        url = (self.url or f"sqlite:///{data_dir}/unlearn.db").replace(":/", "+psycopg:/")
        engine = create_engine(url.replace("sqlite+psycopg", "sqlite"))
        with engine.connect() as conn:
            found = [*conn.execute(text(statement))]
        engine.dispose()
        return found


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "sqlite":
        return Place(None, None, None)
    url = request.getfixturevalue("cluster").new_database()
    folder = Path(url.partition("?host=")[2])
    postmaster = (folder / "data/postmaster.pid").read_text().split()[0]
    return Place(url, folder, int(postmaster))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def scene(tmp_path: Path, place: Place, *processes: int) -> Scene:
    """All of what the server and its database have."""
    folders = (tmp_path, place.folder) if place.folder else (tmp_path,)
    own = (place.process,) if place.process else ()
    return Scene(folders, (*processes, *own))


def with_features(sample_id: str, subject_id: str, seed: int) -> Sample:
    values = np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)
    return Sample(
        sample_id=sample_id, subject_id=subject_id, features=Features(values=values), label=seed % 2
    )


def with_image(sample_id: str, subject_id: str, seed: int) -> Sample:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return Sample(sample_id=sample_id, subject_id=subject_id, image=file.getvalue(), label=seed % 2)


def pieces_of(samples: list[Sample], step: float) -> Pieces:
    return {
        f"{sample.sample_id}: {kind}": piece
        for sample in samples
        for kind, piece in traces(sample, step).items()
    }


def weights_of(truth: Any, samples: list[Sample]) -> Pieces:
    """A few of the weights that are served, by exact arithmetic."""
    integers = truth.weights(samples).ravel()[6:10].astype(np.float64)
    return encoded(numbers("weights", truth.objective.weights(integers), integers))


def sealed_of(place: Place, data_dir: Path) -> dict[str, set[bytes]]:
    """What is stored of her, by kind; none of it in clear."""
    first = "SELECT subject_hash FROM samples WHERE key = (SELECT min(key) FROM samples)"
    hers = f"SELECT key FROM samples WHERE subject_hash = ({first})"  # noqa: S608 # ours
    statements = {
        "payload": f"SELECT payload FROM samples WHERE key IN ({hers})",  # noqa: S608 # ours
        "wrapped key": f"SELECT wrapped_key FROM sample_keys WHERE sample_key IN ({hers})",  # noqa: S608 # ours
        "sealed weights": "SELECT payload FROM releases",
        "weights' wrapped key": "SELECT wrapped_key FROM release_keys",
    }
    return {
        kind: {bytes(value) for (value,) in place.query(data_dir, statement)}
        for kind, statement in statements.items()
    }


def stays(scene: Scene, sealed: dict[str, set[bytes]]) -> set[str]:
    """The kinds of which a part is somewhere."""
    return {kind.partition("/")[0] for kind in scene.find(parts(sealed))}


def test_nothing_of_whom_was_erased_can_be_read(
    start: Any,
    tmp_path: Path,
    temporary: Path,
    place: Place,
    truth_of: Any,
    wait_until: Callable[..., None],
) -> None:
    data_dir = tmp_path / "data"
    process = start(data_dir, database=place.url)
    hers = [with_features(f"row-{i}-of-ada", HERS, i) for i in range(8)]
    his = [with_features(f"row-{i}-of-bob", HIS, 100 + i) for i in range(8)]
    pictures = [with_image("photo-of-ada", HERS, 7), with_image("photo-of-bob", HIS, 8)]
    with process.asked() as server:
        model = server.client.create_model("rows", f"features:{WIDTH}", CLASSES)
        server.client.create_model("pictures", "efficientnet-lite0", CLASSES)
        server.client.add_samples("rows", hers + his)
        server.client.add_samples("pictures", pictures)
        for name in ("rows", "pictures"):
            server.client.create_release(name)
        truth = truth_of(model)
        clear = pieces_of([*hers[:2], pictures[0]], truth.step) | weights_of(truth, hers + his)
        everywhere = scene(tmp_path, place, process.pid)

        # Not even before: rows and weights are sealed, ids are keyed hashes.
        assert everywhere.find(clear) == {}
        sealed = sealed_of(place, data_dir)
        # A checkpoint may move it from one file to another while these are read.
        wait_until(lambda: stays(everywhere, sealed) == {*sealed})
        salt = np.random.default_rng(3).bytes(32)
        clear |= encoded({"salt": salt})
        accepted = server.client.create_erasure(Selection.subjects([HERS]), commitment_salt=salt)
        done = server.client.wait_for_erasure(accepted.name)
        assert sorted(outcome.erased_samples for outcome in done.outcomes) == [1, 8]
        if place.url is None:
            wal = data_dir / "unlearn.db-wal"
            wait_until(lambda: wal.stat().st_size == 0)

        assert everywhere.find(clear) == {}
        left = set() if place.url is None else {*sealed}
        assert stays(everywhere, sealed) == left
    assert process.terminate() == 0
    everywhere = scene(tmp_path, place)
    assert everywhere.find(clear) == {}
    assert stays(everywhere, sealed) == left
    assert [*temporary.iterdir()] == []


def test_what_postgresql_keeps_opens_with_the_old_master_key_alone(
    open_server: Any, tmp_path: Path, cluster: Postgres
) -> None:
    place = Place(cluster.new_database(), None, None)
    data_dir = tmp_path / "data"
    cluster_files = Scene((Path(str(place.url).partition("?host=")[2]),))
    with open_server(data_dir, place.url) as server:
        server.client.create_model("m", f"features:{WIDTH}", CLASSES)
        server.client.add_samples("m", [with_features("s", HERS, 1), with_features("t", HIS, 2)])
        [(sample_hash, *columns)] = place.query(
            data_dir,
            "SELECT sample_hash, payload, wrapped_key, master_id FROM samples JOIN sample_keys "
            "ON sample_key = key ORDER BY key LIMIT 1",
        )
        sealed, identity = Sealed(*map(bytes, columns)), rows.identity("m", bytes(sample_hash))
        accepted = server.client.create_erasure(Selection.subjects([HERS]))
        assert server.client.wait_for_erasure(accepted.name).state == Erasure.SUCCEEDED
        old = KeyRing.open(data_dir, create=False)
        # In parts: VACUUM may have been there, and pages of the log may begin in the middle.
        kept = {"payload": {sealed.payload}, "wrapped key": {sealed.wrapped_key}}
        assert stays(cluster_files, kept) == {*kept}
        assert b"s" in old.unseal(sealed, identity)  # whoever has the old key reads it

        secrets = {name: (data_dir / name).read_bytes() for name in SECRETS}
        database = ("--database", str(place.url))
        assert exit_code("keys", "rotate-master", "--data-dir", str(data_dir), *database) == 0
        assert stays(cluster_files, kept) == {*kept}  # as before, and for nothing
        new = KeyRing.open(data_dir, create=False)
        with pytest.raises(DecryptionError):
            new.unseal(sealed, identity)
        assert cluster_files.find(encoded(secrets)) == {}
        old_key = encoded({"the old key": secrets["master.key"]})
        assert Scene((data_dir,)).find(old_key) == {}
        assert server.client.audit_model("m").consistent


def test_postgresql_vacuums_what_an_erasure_deleted_without_being_told(
    open_server: Any, tmp_path: Path, cluster: Postgres, wait_until: Callable[..., None]
) -> None:
    place = Place(cluster.new_database(), None, None)
    vacuumed = (
        "SELECT count(*) FROM pg_stat_user_tables WHERE autovacuum_count > 0 "
        "AND relname IN ('samples', 'sample_keys', 'releases', 'release_keys')"
    )
    with open_server(tmp_path / "data", place.url) as server:
        server.client.create_model("m", f"features:{WIDTH}", CLASSES)
        server.client.add_samples("m", [with_features("s", HERS, 1), with_features("t", HIS, 2)])
        server.client.create_release("m")
        assert place.query(tmp_path, vacuumed) == [(0,)]
        accepted = server.client.create_erasure(Selection.subjects([HERS]))
        server.client.wait_for_erasure(accepted.name)
        wait_until(lambda: place.query(tmp_path, vacuumed) == [(4,)])


@pytest.fixture
def planted() -> Pieces:
    own = with_features("canary-row", "canary-1f3b@example.org", 5)
    return pieces_of([own, with_image("canary-photo", "canary-1f3b@example.org", 6)], 2.0**-11)


def test_the_search_finds_each_piece_in_files_and_in_what_is_held_open(
    planted: Pieces, tmp_path: Path
) -> None:
    """Or the tests above would pass for nothing."""
    assert len(planted) > 150
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "file").write_bytes(b"..".join(planted.values()))
    assert Scene((tmp_path,)).find(planted).keys() == planted.keys()
    program = "import sys; file = open(sys.argv[1], 'rb'); print(flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "inside" / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout
        holder.stdout.readline()
        (tmp_path / "inside" / "file").unlink()
        assert Scene((tmp_path,)).find(planted) == {}
        assert Scene((), (holder.pid,)).find(planted).keys() == planted.keys()
        assert holder.stdin
        holder.stdin.close()


def test_the_search_finds_each_piece_in_a_database(
    planted: Pieces, place: Place, tmp_path: Path
) -> None:
    """In PostgreSQL's, which keeps that, also what was deleted."""
    if place.url:
        with psycopg.connect(place.url, autocommit=True) as database:
            # What VACUUM frees is in the log alone, whose pages may begin in the middle of a piece.
            database.execute("CREATE TABLE canary (clear bytea) WITH (autovacuum_enabled = false)")
            for piece in planted.values():
                database.execute("INSERT INTO canary VALUES (%b)", (piece,))
            database.execute("DELETE FROM canary")
            database.execute("CHECKPOINT")
    else:
        with closing(sqlite3.connect(tmp_path / "canary.db")) as database, database:
            database.execute("CREATE TABLE canary (clear BLOB)")
            database.executemany("INSERT INTO canary VALUES (?)", zip(planted.values()))
    assert scene(tmp_path, place).find(planted).keys() == planted.keys()
