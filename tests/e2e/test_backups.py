"""Backups made beside a server, and servers made of them: whoever was erased since is not there."""

import hashlib
import json
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from click.testing import CliRunner, Result

from tests.e2e.evidence import checkpoint_of, erase, unlearn, written
from unlearn.v1.erasure_pb2 import Erasure
from unlearn_client import Selection, UnlearnError
from unlearn_server.cli import main
from unlearn_server.errors import StartupError
from unlearn_server.failpoints import ENVIRONMENT, Failpoint
from unlearn_server.ledger.database import MIGRATIONS

CLASSES = ["cat", "dog", "bird"]
SALT = bytes(range(32))


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def done(*words: object) -> Result:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result


def sound(data_dir: Path, *words: object) -> bool:
    result = run("fsck", "--data-dir", data_dir, *words)
    assert (result.exit_code, result.stderr) == (0, "sound\n"), result.output
    return True


def content(directory: Path) -> dict[str, bytes]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


@dataclass(frozen=True)
class Lost:
    """A backup, and what a server left that went on after it."""

    folder: Path

    @property
    def backup(self) -> Path:
        return self.folder / "backup"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def journal(self) -> Path:
        return self.data / "journal" / "erasures"

    @property
    def checkpoint(self) -> Path:
        return self.data / "log" / "checkpoint"

    def restored_to(self, data_dir: Path, *words: object) -> Result:
        """Restores to a folder that is made with the master key in it."""
        data_dir.mkdir(mode=0o700)
        shutil.copy(self.data / "master.key", data_dir)
        return self.again_to(data_dir, *words)

    def again_to(self, data_dir: Path, *words: object) -> Result:
        given = ("--data-dir", data_dir, "--journal", self.journal)
        return run("restore", self.backup, *given, "--checkpoint", self.checkpoint, *words)


def fill(server: Any, make_sample: Any) -> None:
    for model_id in ("m", "other", "doomed"):
        server.client.create_model(model_id, "features:3", CLASSES)
        # Nobody on hold is in a model that is to be deleted.
        count = 20 if model_id == "doomed" else 24
        rows = [make_sample(f"s{i}", f"p{i // 2}") for i in range(count)]
        server.client.add_samples(model_id, [make_sample("c"), *rows])
        server.client.create_release(model_id)
    erase(server, "m", Selection.subjects(["p0"]))


def wait_for_later(server: Any, make_sample: Any) -> tuple[list[str], list[str]]:
    """Requests that cannot go on, and the holds that two of them wait for."""
    server.client.create_model("few", "features:3", CLASSES, minimum_cohort=9)
    server.client.add_samples("few", [make_sample(f"f{i}", f"p{i}") for i in range(12)])
    holds = [server.client.place_hold(who, "a lawsuit").name for who in ("p10", "p11")]
    asked = (["p10"], ["m"]), (["p11"], ["m"]), (["p9"], ["few"])
    requests = [
        server.client.create_erasure(Selection.subjects(who), models).name for who, models in asked
    ]
    return requests, holds


def go_on(server: Any, make_sample: Any, requests: list[str], holds: list[str]) -> None:
    """What a server does after its backup, before its disk is lost."""
    erase(server, "m", Selection.subjects(["p1", "p2"]))
    server.client.create_release("m")
    erase(server, "m", Selection.samples(["s6"]))
    both = server.client.create_erasure(Selection.subjects(["p4"]), ["m", "other"])
    assert server.client.wait_for_erasure(both.name).state == Erasure.SUCCEEDED
    server.client.delete_model("doomed")
    server.client.create_model("young", "features:3", CLASSES)
    server.client.add_samples("young", [make_sample("y1", "q1"), make_sample("y2", "q2")])
    server.client.create_release("young")
    erase(server, "young", Selection.subjects(["q1"]))
    due_time = server.client.get_erasure(requests[0]).due_time.ToDatetime(UTC)
    server.client.extend_erasure(requests[0], due_time + timedelta(days=10), "many requests")
    server.client.lift_hold(holds[0])
    assert server.client.wait_for_erasure(requests[0]).state == Erasure.SUCCEEDED
    server.client.refuse_erasure(requests[1], "gdpr-17-3-b", "tax law")
    server.client.create_erasure(Selection.subjects(["p8"]), ["few"])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: Any, open_server: Any, make_sample: Any) -> Lost:
    """One that is not to be changed."""
    lost = Lost(tmp_path_factory.mktemp("lost"))
    with open_server(lost.data) as server:
        fill(server, make_sample)
        waiting = wait_for_later(server, make_sample)
        done("backup", lost.backup, "--data-dir", lost.data)
        go_on(server, make_sample, *waiting)
    return lost


@pytest.fixture
def lost(kept: Lost, tmp_path: Path) -> Lost:
    return Lost(Path(shutil.copytree(kept.folder, tmp_path / "lost")))


def test_a_backup_is_its_owners_and_holds_no_key_beside_what_it_opens(kept: Lost) -> None:
    assert set(content(kept.backup)) == {"data", "keys", "manifest.json"}
    assert {path.stat().st_mode & 0o777 for path in kept.backup.iterdir()} == {0o600}
    assert kept.backup.stat().st_mode & 0o777 == 0o700
    with closing(sqlite3.connect(kept.backup / "keys")) as keys:
        wrapped = [key for (key,) in keys.execute("SELECT wrapped_key FROM sample_keys")]
        wrapped += [key for (key,) in keys.execute("SELECT wrapped_key FROM release_keys")]
        secrets = {name for (name,) in keys.execute("SELECT name FROM secrets")}
    assert len(wrapped) == 2 * 25 + 21 - 2 + 12 + 3
    assert secrets == {"id-hashing.key", "signing.key"}
    data = (kept.backup / "data").read_bytes()
    assert not any(key in data for key in wrapped)
    both = data + (kept.backup / "keys").read_bytes()
    for name in ("master.key", "id-hashing.key", "signing.key"):
        assert (kept.data / name).read_bytes() not in both


def test_a_restored_server_is_the_lost_one_without_whoever_was_erased(
    start: Any, open_server: Any, make_sample: Any, tmp_path: Path
) -> None:
    lost = Lost(tmp_path)
    process = start(lost.data)
    with process.asked() as server:
        fill(server, make_sample)
        done("backup", lost.backup, "--data-dir", lost.data)
        last = erase(server, "m", Selection.subjects(["p1", "p2"]))
        (tmp_path / "files").mkdir()
        files = written(last.certificate, tmp_path / "files")
        live = server.client.audit_model("m", SALT)
        shown = checkpoint_of(server)
        features = np.eye(3, dtype=np.float32)
        answered = np.asarray(server.client.predict("m", features=features).logits)
        process.kill()
    new = tmp_path / "new"
    result = lost.restored_to(new)
    assert result.stdout == (
        "restored; certificates in the log: 2, of which made after the backup: 1\n"
    )
    with open_server(new) as server:
        audit = server.client.audit_model("m", SALT)
        assert audit.consistent
        assert audit == live
        assert np.array_equal(server.client.predict("m", features=features).logits, answered)
        assert checkpoint_of(server) == shown
        for who in ("p0", "p1", "p2"):
            with pytest.raises(UnlearnError, match="erased"):
                server.client.add_samples("m", [make_sample(f"again-{who}", who)])
        assert server.client.get_erasure(last.erasure.name) == last.erasure
        assert server.client.get_certificate(last.outcome.certificate).envelope == (
            last.certificate.envelope
        )
        erase(server, "m", Selection.subjects(["p5"]))
    keys = ("--key", new / "log" / "keys.json", "--log", new / "log")
    saved = tmp_path / "seen"
    saved.write_bytes(lost.checkpoint.read_bytes())
    verified = unlearn("verify", *files, *keys, "--checkpoint", saved)
    assert verified.exit_code == 0, verified.output


def certified(server: Any) -> list[tuple[bytes, str, str]]:
    return [(each.envelope, each.erasure, each.model) for each in server.client.list_certificates()]


def opens(data_dir: Path, table: str, column: str) -> set[bytes]:
    with closing(sqlite3.connect(data_dir)) as database:
        query = f"SELECT {column} FROM {table}"  # noqa: S608 # ours
        return {value for (value,) in database.execute(query)}


def test_all_that_was_done_since_is_done_again(
    lost: Lost, open_server: Any, make_sample: Any, tmp_path: Path
) -> None:
    with open_server(lost.data) as server:
        live = server.client.audit_model("m", SALT)
        alive = {each.name: each for each in server.client.list_erasures()}
        known = certified(server)
        waiting = [each.name for each in alive.values() if each.state == Erasure.PENDING]
        assert len(waiting) == 2  # one of the backup, and one that was accepted after it
        number = server.client.get_release("m").name.rpartition("/")[2]
    new = tmp_path / "new"
    assert lost.restored_to(new).exit_code == 0
    assert {path.name for path in new.iterdir()} == {
        *("lock", "master.key", "id-hashing.key", "signing.key", "journal", "log", "unlearn.db")
    }
    assert sound(new)
    before = content(new)
    assert lost.again_to(new).exit_code == 2  # it has begun to be a server's
    assert content(new) == before

    gone = opens(lost.backup / "keys", "sample_keys", "wrapped_key")
    gone -= opens(new / "unlearn.db", "sample_keys", "wrapped_key")
    held = (new / "unlearn.db").read_bytes()
    assert len(gone) == 21 + 4 + 1 + 2 * 2 + 2  # doomed; p1 and p2, s6, p4 twice, p10
    assert not any(key in held for key in gone)

    with open_server(new) as server:
        assert server.client.audit_model("m", SALT) == live
        assert certified(server) == known
        asking = list(server.client.list_erasures([Erasure.NEEDS_OPERATOR]))
        assert [each.name for each in asking] == waiting
        assert all("may have been withdrawn" in each.state_reason for each in asking)
        for each in server.client.list_erasures():
            assert told(each) == told(alive[each.name])
        names = [each.name for each in server.client.list_models()]
        assert names == [f"models/{name}" for name in ("m", "other", "few", "young")]
        assert server.client.get_model("young").sample_count == 0
        for model_id in ("m", "other", "few", "young"):
            assert server.client.audit_model(model_id).consistent
        later = server.client.get_release("m").name.rpartition("/")[2]
        assert int(later) == int(number) + 1  # what was certified has its number to itself
        with pytest.raises(UnlearnError, match="is taken, or was"):
            server.client.create_model("doomed", "features:3", CLASSES)
        with pytest.raises(UnlearnError, match="erased"):
            server.client.add_samples("young", [make_sample("y1", "q1")])
        server.client.retry_erasure(waiting[0])
        server.client.cancel_erasure(waiting[1])
        erase(server, "m", Selection.subjects(["p7"]))
    assert sound(new)
    with open_server(new) as server:
        assert certified(server)[: len(known)] == known


def told(erasure: Erasure) -> tuple[object, ...]:
    """All of a request but the operator's own words, which are nowhere but in the database."""
    without = Erasure()
    without.CopyFrom(erasure)
    without.extension.ClearField("reason")
    without.ClearField("state_reason")
    if erasure.state in {Erasure.PENDING, Erasure.NEEDS_OPERATOR}:
        without.ClearField("state")
    return (without.SerializeToString(deterministic=True),)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_was_done_since_the_commitments_are_those_of_the_lost_server(
    open_server: Any, make_sample: Any, tmp_path: Path, seed: int
) -> None:
    lost, rng = Lost(tmp_path), random.Random(seed)
    with open_server(lost.data) as server:
        fill(server, make_sample)
        for _ in range(rng.randrange(3)):
            do_something(server, rng)
        done("backup", lost.backup, "--data-dir", lost.data)
        for _ in range(8):
            do_something(server, rng)
        live = audits(server)
        known = certified(server)
    assert lost.restored_to(tmp_path / "new").exit_code == 0
    with open_server(tmp_path / "new") as server:
        assert audits(server) == live
        assert certified(server) == known
        do_something(server, rng)
    assert sound(tmp_path / "new")


def audits(server: Any) -> dict[str, Any]:
    names = [each.name for each in server.client.list_models()]
    return {name: server.client.audit_model(name.partition("/")[2], SALT) for name in names}


def do_something(server: Any, rng: random.Random) -> None:
    """What needs no sample that the backup has not."""
    models = rng.sample(["m", "other", "doomed"], rng.randint(1, 3))
    selection = rng.choice(
        [
            Selection.subjects([f"p{rng.randrange(14)}" for _ in range(2)]),
            Selection.samples([f"s{rng.randrange(28)}"]),
            Selection.all_user_data(),
        ]
        if rng.random() < 0.3
        else [Selection.subjects([f"p{rng.randrange(14)}"])]
    )
    held = server.client.place_hold("p11", "a lawsuit") if rng.random() < 0.3 else None
    accepted = server.client.create_erasure(selection, models)
    ended = server.client.wait_for_erasure(accepted.name)
    if ended.state == Erasure.HELD:
        server.client.refuse_erasure(ended.name, "gdpr-17-3-e", "a lawsuit")
    if held:
        server.client.lift_hold(held.name)
    if rng.random() < 0.3:
        server.client.create_release(models[0])


def test_a_server_restored_twice_goes_on_with_one_log(
    lost: Lost, open_server: Any, tmp_path: Path
) -> None:
    """The journal that a restored server keeps is as good as the first."""
    second = Lost(tmp_path / "second")
    second.folder.mkdir()
    assert lost.restored_to(second.data).exit_code == 0
    shutil.copytree(lost.backup, second.backup)
    with open_server(second.data) as server:
        erase(server, "m", Selection.subjects(["p7"]))
        live, known = server.client.audit_model("m", SALT), certified(server)
    assert second.restored_to(tmp_path / "third").exit_code == 0
    with open_server(tmp_path / "third") as server:
        assert (server.client.audit_model("m", SALT), certified(server)) == (live, known)
    assert sound(tmp_path / "third")


def test_a_key_that_was_changed_since_must_be_given(
    lost: Lost, open_server: Any, tmp_path: Path
) -> None:
    done("keys", "rotate", "--data-dir", lost.data)
    refused = lost.restored_to(tmp_path / "refused")
    assert refused.exit_code == 2
    assert "the signing key: is not the one" in refused.stderr
    new = tmp_path / "new"
    result = lost.restored_to(new, "--signing-key", lost.data / "signing.key")
    assert result.exit_code == 0, result.output
    shutil.copy(lost.data / "signing.key", new)
    with open_server(new) as server:
        erase(server, "m", Selection.subjects(["p7"]))
        size = checkpoint_of(server).size
    keys = json.loads((new / "log" / "keys.json").read_bytes())["keys"]
    assert [key["firstIndex"] for key in keys] == [0, size - 1]
    assert sound(new)


def test_a_backup_of_an_older_schema_is_brought_up_to_date(
    lost: Lost, open_server: Any, make_sample: Any, tmp_path: Path
) -> None:
    make_older(lost.backup)
    new = tmp_path / "new"
    result = lost.restored_to(new)
    assert result.exit_code == 0, result.output
    with open_server(new) as server:
        with open_server(lost.data) as live:
            alive = live.client.audit_model("m", SALT)
        assert server.client.audit_model("m", SALT) == alive
        with pytest.raises(UnlearnError, match="erased"):
            server.client.add_samples("m", [make_sample("again", "p1")])


def make_older(backup: Path) -> None:
    """Makes a backup one of the schema that had no suppressions, and no ids of keys."""
    older = backup / "older"
    engine = sa.create_engine(f"sqlite:///{older}")
    with engine.begin() as conn:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = conn
        command.upgrade(config, "0005")
    engine.dispose()
    with closing(sqlite3.connect(older)) as database, database:
        database.execute("ATTACH ? AS newer", (str(backup / "data"),))
        tables = database.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            if table not in {"alembic_version", "sqlite_sequence"}:
                names = ", ".join(
                    columns(database, "main", table) & columns(database, "newer", table)
                )
                database.execute(
                    f"INSERT INTO main.{table} ({names}) SELECT {names} FROM newer.{table}"  # noqa: S608 # ours
                )
    older.replace(backup / "data")
    with closing(sqlite3.connect(backup / "keys")) as database, database:
        database.execute("CREATE TABLE older AS SELECT sample_key, wrapped_key FROM sample_keys")
        for table in ("sample_keys", "release_keys"):
            database.execute(f"DROP TABLE {table}")
        database.execute("ALTER TABLE older RENAME TO sample_keys")
    tell(backup, sha256={name: digest(backup / name) for name in ("data", "keys")})


def columns(database: sqlite3.Connection, schema: str, table: str) -> set[str]:
    return {row[1] for row in database.execute(f"PRAGMA {schema}.table_info({table})")}


def manifest(backup: Path) -> dict[str, Any]:
    return json.loads((backup / "manifest.json").read_bytes())  # type: ignore[no-any-return]


def tell(backup: Path, **changes: Any) -> None:
    (backup / "manifest.json").write_text(json.dumps({**manifest(backup), **changes}))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refused(result: Result, words: str, data_dir: Path) -> None:
    """Nothing is there then but what was there before."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert re.search(words, result.stderr), result.stderr
    assert {path.name for path in data_dir.iterdir()} <= {"lock", "master.key"}


def cut(path: Path) -> None:
    """Takes the last certificate away, and all that was told after it."""
    lines = path.read_bytes().splitlines(keepends=True)
    last = max(index for index, line in enumerate(lines) if b'"leaves"' in line)
    path.write_bytes(b"".join(lines[:last]))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def newer_schema(backup: Path) -> None:
    with closing(sqlite3.connect(backup / "data")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    tell(backup, sha256={**manifest(backup)["sha256"], "data": digest(backup / "data")})


UNFIT: dict[str, tuple[Callable[[Lost], object], str]] = {
    "no journal": (lambda lost: lost.journal.unlink(), "the journal: cannot be read: No such file"),
    "a journal that is older than the backup": (
        lambda lost: lost.journal.write_bytes(b""),
        "the journal: ends after 0 certificates, and the backup has 1",
    ),
    "a journal that lacks what was shown": (
        lambda lost: cut(lost.journal),
        "the journal: ends after 7 certificates, and the checkpoint is of 8",
    ),
    "a damaged journal": (lambda lost: flip(lost.journal), "the journal: was damaged"),
    "no data": (lambda lost: (lost.backup / "data").unlink(), "BACKUP: data cannot be read"),
    "damaged data": (lambda lost: flip(lost.backup / "data"), "BACKUP: data is damaged"),
    "no keys": (lambda lost: (lost.backup / "keys").unlink(), "BACKUP: keys cannot be read"),
    "damaged keys": (lambda lost: flip(lost.backup / "keys"), "BACKUP: keys is damaged, or of an"),
    "no manifest": (
        lambda lost: (lost.backup / "manifest.json").unlink(),
        "BACKUP: manifest.json cannot be read: No such file",
    ),
    "a damaged manifest": (
        lambda lost: (lost.backup / "manifest.json").write_text("{}"),
        "BACKUP: manifest.json is damaged",
    ),
    "a manifest of no checkpoint": (
        lambda lost: tell(lost.backup, checkpoint=5),
        "BACKUP: manifest.json is damaged",
    ),
    "a manifest of no digests": (
        lambda lost: tell(lost.backup, sha256={}),
        "BACKUP: manifest.json is damaged",
    ),
    "a newer format": (lambda lost: tell(lost.backup, format=2), "was made by a newer version"),
    "a newer schema": (lambda lost: newer_schema(lost.backup), "was written by a newer version"),
    "another master key": (
        lambda lost: (lost.data / "master.key").write_bytes(bytes(32)),
        "master.key: is not the master key that the backup was made under",
    ),
    "no checkpoint": (lambda lost: lost.checkpoint.write_text("?"), "--checkpoint: is no check"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_is_not_fit_to_be_restored_is_refused(lost: Lost, tmp_path: Path, kind: str) -> None:
    spoil, words = UNFIT[kind]
    spoil(lost)
    refused(lost.restored_to(tmp_path / "new"), words, tmp_path / "new")


def test_another_history_is_not_gone_on_with(lost: Lost, open_server: Any, tmp_path: Path) -> None:
    other = Lost(Path(shutil.copytree(lost.folder, tmp_path / "other")))
    for side, who in ((lost, "p5"), (other, "p6")):
        with open_server(side.data) as server:
            erase(server, "m", Selection.subjects([who]))
    shutil.copy(other.checkpoint, lost.checkpoint)
    refused(lost.restored_to(tmp_path / "new"), "of another history", tmp_path / "new")
    done("backup", tmp_path / "fork", "--data-dir", other.data)
    (tmp_path / "third").mkdir(mode=0o700)
    shutil.copy(lost.data / "master.key", tmp_path / "third")
    given = ("--data-dir", tmp_path / "third", "--journal", lost.journal)
    fork = run("restore", tmp_path / "fork", *given)
    refused(fork, "the journal: is not of the backup's log", tmp_path / "third")
    stranger = Lost(tmp_path / "stranger")
    with open_server(stranger.data) as server:
        server.client.create_model("m", "features:3", CLASSES)
        server.client.create_erasure(Selection.subjects(["nobody"]), ["m"])
    shutil.copy(stranger.journal, lost.journal)
    theirs = lost.restored_to(tmp_path / "second")
    refused(theirs, "the journal: was damaged, or is another server's", tmp_path / "second")


def test_nothing_is_restored_over_what_is_there(
    lost: Lost, open_server: Any, tmp_path: Path
) -> None:
    before = content(lost.data)
    result = lost.again_to(lost.data)
    assert (result.exit_code, "--data-dir: is in use, or not empty" in result.stderr) == (2, True)
    assert content(lost.data) == before
    with open_server(lost.data):
        result = lost.again_to(lost.data)
        assert (result.exit_code, "is in use by another server" in result.stderr) == (2, True)
    (tmp_path / "empty").mkdir()
    refused(lost.again_to(tmp_path / "empty"), "master.key: cannot be read", tmp_path / "empty")


def test_a_backup_never_takes_the_place_of_another(lost: Lost, tmp_path: Path) -> None:
    before = content(lost.backup)
    again = run("backup", lost.backup, "--data-dir", lost.data)
    assert (again.exit_code, "DIR: is there already" in again.stderr) == (2, True)
    assert content(lost.backup) == before
    nowhere = run("backup", tmp_path / "no" / "where", "--data-dir", lost.data)
    assert (nowhere.exit_code, "DIR: cannot be written: No such" in nowhere.stderr) == (2, True)


COMMANDS = """
import json, os, sys
from unlearn_server.cli import main
for line in sys.stdin:
    environment, words = json.loads(line)
    child = os.fork()
    if not child:
        os.dup2(2, 1)
        os.environ.update(environment)
        main(words)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs each command in a process of its own, without what starting Python anew takes."""

Killed = Callable[..., None]


@pytest.fixture(scope="module")
def killed() -> Iterator[Killed]:
    """Runs a command that is killed when it reaches a place for that time."""
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(
        [sys.executable, "-c", COMMANDS], stdin=pipe, stdout=pipe, stderr=null, text=True
    ) as commands:

        def killed(point: Failpoint, count: int, *words: object) -> None:
            assert commands.stdin
            assert commands.stdout
            asked = [{ENVIRONMENT: f"{point}=kill@{count}"}, [str(word) for word in words]]
            commands.stdin.write(f"{json.dumps(asked)}\n")
            commands.stdin.flush()
            assert int(commands.stdout.readline()) == -signal.SIGKILL

        yield killed


BACKUP_POINTS = [point for point in Failpoint if point.startswith("backup.")]
RESTORE_POINTS = [point for point in Failpoint if point.startswith("restore.")]
EVERYTHING = 5
"""Journal, published log, two keys and the database, each of which is moved to its place."""
MOVES = [(Failpoint.RESTORE_MOVED, count) for count in range(2, EVERYTHING + 1)]


@pytest.mark.parametrize("point", BACKUP_POINTS)
def test_a_killed_backup_is_there_whole_or_not_at_all(
    lost: Lost, tmp_path: Path, killed: Killed, point: Failpoint
) -> None:
    fresh = tmp_path / "fresh"
    killed(point, 1, "backup", fresh, "--data-dir", lost.data)
    if point is Failpoint.BACKUP_RENAMED:
        again = Lost(tmp_path)
        shutil.copytree(lost.data, again.data)
        fresh.rename(again.backup)
        assert again.restored_to(tmp_path / "new").exit_code == 0
    else:
        assert not fresh.exists()
        done("backup", fresh, "--data-dir", lost.data)
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {"lost", "fresh"}


@pytest.mark.parametrize(("point", "count"), [*((point, 1) for point in RESTORE_POINTS), *MOVES])
def test_a_killed_restore_is_begun_again_or_no_server_starts(
    lost: Lost, tmp_path: Path, open_server: Any, killed: Killed, point: Failpoint, count: int
) -> None:
    """Above all no second log begins under the keys that are there already."""
    new = tmp_path / "new"
    new.mkdir(mode=0o700)
    shutil.copy(lost.data / "master.key", new)
    given = ("--data-dir", new, "--journal", lost.journal)
    killed(point, count, "restore", lost.backup, *given)
    if point is Failpoint.RESTORE_MOVED and count < EVERYTHING:
        with pytest.raises(StartupError), open_server(new):
            pass
        return
    if point is not Failpoint.RESTORE_MOVED:
        assert lost.again_to(new).exit_code == 0
    with open_server(new):
        pass
    assert sound(new)


def command_of(url: str | None) -> tuple[object, ...]:
    return ("--database", url) if url else ()


@pytest.mark.parametrize("to_postgres", [False, True])
def test_a_server_on_postgresql_is_restored_to_either_database(
    postgres: Any, open_server: Any, make_sample: Any, tmp_path: Path, *, to_postgres: bool
) -> None:
    lost, url = Lost(tmp_path), postgres.new_database()
    with open_server(lost.data, url) as server:
        fill(server, make_sample)
        waiting = wait_for_later(server, make_sample)
        done("backup", lost.backup, "--data-dir", lost.data, "--database", url)
        go_on(server, make_sample, *waiting)
        live, known = server.client.audit_model("m", SALT), certified(server)
    new, target = tmp_path / "new", postgres.new_database() if to_postgres else None
    result = lost.restored_to(new, *command_of(target))
    assert result.exit_code == 0, result.output
    if to_postgres:
        again = lost.restored_to(tmp_path / "again", *command_of(target))
        refused(again, "--database: is not empty", tmp_path / "again")
        assert not (new / "unlearn.db").exists()
    with open_server(new, target) as server:
        assert server.client.audit_model("m", SALT) == live
        assert certified(server) == known
        server.client.add_samples("m", [make_sample("n1", "new"), make_sample("n2", "new")])
        server.client.create_model("newer", "features:3", CLASSES)
        erase(server, "m", Selection.subjects(["p7", "new"]))
        server.client.place_hold("p8", "a lawsuit")
    assert sound(new, *command_of(target))
