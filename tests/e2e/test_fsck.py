"""``unlearn-server fsck``: sound data pass, and whatever was changed is named."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.e2e.evidence import erase
from unlearn_client import Selection
from unlearn_server.cli import main

CLASSES = ["cat", "dog", "bird"]


def fsck(data_dir: Path) -> Result:
    return CliRunner().invoke(main, ["fsck", "--data-dir", str(data_dir)])


def rotate(data_dir: Path) -> None:
    result = CliRunner().invoke(main, ["keys", "rotate", "--data-dir", str(data_dir)])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def used(tmp_path_factory: Any, open_server: Any, make_sample: Any) -> Path:
    """What a server leaves that has erased under two keys: certificates 0 to 2, and 4 and 5."""
    data_dir: Path = tmp_path_factory.mktemp("used") / "data"
    with open_server(data_dir) as server:
        for model_id in ("m", "other"):
            server.client.create_model(model_id, "features:3", CLASSES)
            rows = [make_sample(f"s{i}", f"p{i // 2}") for i in range(20)]
            server.client.add_samples(model_id, [make_sample("c"), *rows])
        server.client.create_release("m")
        for i in range(3):
            erase(server, "m", Selection.subjects([f"p{i}"]))
    rotate(data_dir)
    with open_server(data_dir) as server:
        for i in range(3, 5):
            erase(server, "m", Selection.samples([f"s{2 * i}"]))
        server.client.create_erasure(Selection.subjects(["nobody"]))
    return data_dir


@pytest.fixture
def data_dir(used: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(used, tmp_path / "data"))


def change(data_dir: Path, *statements: str) -> None:
    with closing(sqlite3.connect(data_dir / "unlearn.db")) as database, database:
        changed = [database.execute(statement).rowcount for statement in statements]
    assert all(changed), "the test changes nothing"


def content(directory: Path) -> dict[str, bytes]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_what_a_server_leaves_is_sound_and_stays_as_it_is(data_dir: Path) -> None:
    before = content(data_dir)
    result = fsck(data_dir)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "sound\n")
    assert content(data_dir) == before


CHANGES = {
    "leaf": ("UPDATE log_leaves SET entry = x'7b7d' WHERE leaf_index = 1", "certificates/1:"),
    "leaf gone": ("DELETE FROM log_leaves WHERE leaf_index = 5", "certificates/5 is not"),
    "leaf from elsewhere": (
        "INSERT INTO log_leaves SELECT 6, entry, envelope FROM log_leaves WHERE leaf_index = 1",
        "the log:",
    ),
    "envelope of another leaf": (
        "UPDATE log_leaves SET envelope = (SELECT envelope FROM log_leaves WHERE leaf_index = 0) "
        "WHERE leaf_index = 2",
        "certificates/2:",
    ),
    "envelope with another signature": (
        'UPDATE log_leaves SET envelope = replace(CAST(envelope AS TEXT), \'"sig":"\', '
        '\'"sig":"AAAA\') WHERE leaf_index = 4',
        "certificates/4:",
    ),
    "node": ("UPDATE log_nodes SET hash = zeroblob(32) WHERE number = 1", "certificates/1:"),
    "leaf's node": ("UPDATE log_nodes SET hash = zeroblob(32) WHERE number = 8", "certificates/4:"),
    "node gone": ("DELETE FROM log_nodes WHERE number = 3", "certificates/3:"),
    "frontier": (
        "UPDATE logs SET frontier = CAST(substr(frontier, 1, 8) || zeroblob(64) AS BLOB)",
        "the log:",
    ),
    "frontier's size": (
        "UPDATE logs SET frontier = CAST(x'0000000000000005' || substr(frontier, 9) AS BLOB)",
        "the checkpoint:",
    ),
    "checkpoint's size": (
        "UPDATE logs SET checkpoint = replace(checkpoint, char(10) || '6', char(10) || '5')",
        "the checkpoint:",
    ),
    "checkpoint's signature": (
        "UPDATE logs SET checkpoint = substr(checkpoint, 1, length(checkpoint) - 9) || 'AAAAAA==' "
        "|| char(10)",
        "the checkpoint:",
    ),
    "origin": ("UPDATE logs SET origin = 'elsewhere.example'", "the checkpoint:"),
    "first key": ("UPDATE signing_keys SET public_key = zeroblob(32)", "certificates/0:"),
    "first key's time": ("DELETE FROM signing_keys WHERE first_index = 0", "the signing keys:"),
    "second key's time": (
        "UPDATE signing_keys SET first_index = 3 WHERE first_index = 4",
        "the signing keys:",
    ),
    "second key gone": ("DELETE FROM signing_keys WHERE first_index = 4", "certificates/4:"),
    "endorsement": (
        "UPDATE signing_keys SET endorsement = NULL WHERE first_index = 4",
        "the signing keys:",
    ),
    "endorsement of the first": (
        "UPDATE signing_keys SET endorsement = x'7b7d' WHERE first_index = 0",
        "the signing keys:",
    ),
    "key to come": (
        "INSERT INTO signing_keys SELECT 7, public_key, endorsement FROM signing_keys "
        "WHERE first_index = 0",
        "the signing keys",
    ),
    "erased": (
        "UPDATE outcomes SET erased_samples = erased_samples + 1 WHERE leaf_index = 2",
        "certificates/2:",
    ),
    "release before": (
        "UPDATE outcomes SET release_before = NULL WHERE leaf_index = 2",
        "certificates/2:",
    ),
    "release after": (
        "UPDATE outcomes SET release_after = 9 WHERE leaf_index = 2",
        "certificates/2:",
    ),
    "bound": (
        "UPDATE outcomes SET bound = replace(bound, '\"cohort\": 1', '\"cohort\": 9') "
        "WHERE leaf_index = 2",
        "certificates/2:",
    ),
    "infinity": (
        "UPDATE outcomes SET bound = replace(bound, '\"Infinity\"', '0.5') WHERE leaf_index = 2",
        "certificates/2:",
    ),
    "solve": (
        "UPDATE outcomes SET solve = replace(solve, 'true', 'false') WHERE leaf_index = 2",
        "certificates/2:",
    ),
    "solve gone": ("UPDATE outcomes SET solve = NULL WHERE leaf_index = 2", "certificates/2:"),
    "method": ("UPDATE outcomes SET method = 'ZERO' WHERE leaf_index = 2", "certificates/2:"),
    "certificate of another": (
        "UPDATE outcomes SET leaf_index = 3 WHERE leaf_index = 2",
        "certificates/2:",
    ),
    "certificate unnamed": (
        "UPDATE outcomes SET leaf_index = NULL WHERE leaf_index = 2",
        "certificates/2:",
    ),
    "outcome gone": ("DELETE FROM outcomes WHERE leaf_index = 2", "certificates/2:"),
    "model of the outcome": (
        "UPDATE models SET model_id = 'another' WHERE model_id = 'm'",
        "certificates/2:",
    ),
    "due time": (
        "UPDATE erasures SET due_time = due_time + 1 WHERE key = "
        "(SELECT erasure_key FROM outcomes WHERE leaf_index = 0)",
        "certificates/0:",
    ),
    "regulation": (
        "UPDATE erasures SET regulation = 'x' WHERE key = "
        "(SELECT erasure_key FROM outcomes WHERE leaf_index = 0)",
        "certificates/0:",
    ),
    "weights": (
        "UPDATE releases SET payload = zeroblob(length(payload)) WHERE payload IS NOT NULL",
        "models/m/releases/6:",
    ),
    "weights' key": (
        "UPDATE release_keys SET wrapped_key = zeroblob(60)",
        "models/m/releases/6:",
    ),
    "weights' key gone": ("DELETE FROM release_keys", "models/m/releases/6:"),
    "weights' commitment": (
        "UPDATE releases SET weights_commitment = zeroblob(32) WHERE payload IS NOT NULL",
        "models/m/releases/6:",
    ),
    "state's commitment": (
        "UPDATE releases SET state_commitment = zeroblob(32) WHERE payload IS NOT NULL",
        "models/m:",
    ),
    "sample": (
        "UPDATE samples SET payload = zeroblob(length(payload)) WHERE key = "
        "(SELECT max(samples.key) FROM samples JOIN models ON models.key = model_key "
        "WHERE model_id = 'm')",
        "models/m:",
    ),
    "sample of a model without a release": (
        "UPDATE samples SET payload = zeroblob(length(payload)) WHERE key = "
        "(SELECT max(samples.key) FROM samples JOIN models ON models.key = model_key "
        "WHERE model_id = 'other')",
        "models/other:",
    ),
    "sample under another hash": (
        "UPDATE samples SET sample_hash = zeroblob(32) WHERE key = (SELECT max(key) FROM samples)",
        "models/other:",
    ),
    "sample's key gone": (
        "DELETE FROM sample_keys WHERE sample_key = (SELECT max(key) FROM samples)",
        "models/other:",
    ),
    "samples counted": ("UPDATE models SET user_count = user_count + 1", "models/other:"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_row_that_was_changed_is_named(data_dir: Path, kind: str) -> None:
    statement, where = CHANGES[kind]
    change(data_dir, statement)
    result = fsck(data_dir)
    assert result.exit_code == 1
    assert any(where in line for line in result.stdout.splitlines()), result.stdout
    assert all("restore it from a backup" in line or "log/" in line for line in lines(result))


def lines(result: Result) -> list[str]:
    found = result.stdout.splitlines()
    assert result.stderr == f"{len(found)} findings\n"
    return found


def test_a_sample_and_its_key_that_are_both_gone_are_missed(data_dir: Path) -> None:
    newest = "(SELECT max(key) FROM samples)"
    change(
        data_dir,
        f"DELETE FROM sample_keys WHERE sample_key = {newest}",  # noqa: S608 # ours
        f"DELETE FROM samples WHERE key = {newest}",  # noqa: S608 # ours
    )
    result = fsck(data_dir)
    assert result.exit_code == 1
    assert "models/other: 20 samples have a key, and 21 are counted" in result.stdout


FILES = ["checkpoint", "keys.json", "tile/0/000.p/6", "tile/entries/000.p/6"]


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("how", ["changed", "cut", "gone", "a folder"])
def test_a_published_file_that_was_changed_is_named(data_dir: Path, path: str, how: str) -> None:
    file = data_dir / "log" / path
    original = file.read_bytes()
    file.unlink()
    if how == "changed":
        file.write_bytes(original[:-2] + b"!\n")
    elif how == "cut":
        file.write_bytes(original[:-1])
    elif how == "a folder":
        file.mkdir()
    result = fsck(data_dir)
    assert result.exit_code == 1
    assert len(lines(result)) == 1
    if how != "a folder":
        assert result.stdout.startswith(f"log/{path}: ")


def test_what_is_published_is_made_again_as_fsck_says(data_dir: Path, open_server: Any) -> None:
    before = content(data_dir / "log")
    (data_dir / "log" / "tile/0/000.p/6").write_bytes(b"wrong")
    (data_dir / "log" / "checkpoint").write_bytes(b"")
    assert all("move the folder away" in line or "newest" in line for line in lines(fsck(data_dir)))
    shutil.rmtree(data_dir / "log")
    with open_server(data_dir):
        pass
    after = content(data_dir / "log")
    assert after == {name: before[name] for name in after}
    assert set(FILES) <= after.keys()
    assert fsck(data_dir).exit_code == 0


def cannot(result: Result, words: str) -> None:
    assert result.exit_code == 2
    assert result.stderr.startswith("unlearn-server: ")
    assert words in result.stderr
    assert result.stdout == ""


def test_data_in_use_cannot_be_checked(data_dir: Path, open_server: Any) -> None:
    with open_server(data_dir):
        cannot(fsck(data_dir), "is in use by another server")


def test_what_is_no_data_directory_cannot_be_checked(data_dir: Path, tmp_path: Path) -> None:
    cannot(fsck(tmp_path / "missing"), "--data-dir: cannot be used")
    assert not (tmp_path / "missing").exists()
    (tmp_path / "empty").mkdir()
    cannot(fsck(tmp_path / "empty"), "holds no database")
    (data_dir / "unlearn.db").write_bytes(b"SQLite format 3\0" + bytes(5000))
    cannot(fsck(data_dir), "the database: cannot be opened")


def test_a_log_that_has_not_begun_cannot_be_checked(data_dir: Path) -> None:
    change(data_dir, "DELETE FROM logs")
    cannot(fsck(data_dir), "has no log yet")


def test_samples_cannot_be_checked_without_their_key(data_dir: Path) -> None:
    (data_dir / "master.key").unlink()
    cannot(fsck(data_dir), "master.key: cannot be read")


def test_samples_do_not_open_with_another_key(data_dir: Path) -> None:
    (data_dir / "master.key").write_bytes(bytes(32))
    cannot(
        fsck(data_dir),
        "(models/m: 13 samples and the release do not open; models/other: 21 samples do ",
    )


def test_samples_are_not_found_with_another_hashing_secret(data_dir: Path) -> None:
    (data_dir / "id-hashing.key").write_bytes(bytes(32))
    cannot(fsck(data_dir), "id-hashing.key: is not the secret that ids were hashed with")


GARBAGE = ["NULL", "-1", "'garbage'", "x'ff00'", "zeroblob(40)", "'{}'"]
TABLES = ["logs", "log_leaves", "log_nodes", "signing_keys", "outcomes", "erasures", "releases"]
TABLES += ["models", "samples", "sample_keys", "release_keys", "key_ids", "erasure_models"]


def columns(data_dir: Path) -> Iterator[tuple[str, str]]:
    with closing(sqlite3.connect(data_dir / "unlearn.db")) as database:
        for table in TABLES:
            for column in database.execute(f"PRAGMA table_info({table})").fetchall():
                yield table, column[1]


@pytest.mark.parametrize("table", TABLES)
def test_garbage_in_any_column_is_survived(data_dir: Path, table: str) -> None:
    """What is not checked may pass; nothing else may happen."""
    original = (data_dir / "unlearn.db").read_bytes()
    for _, column in (each for each in columns(data_dir) if each[0] == table):
        for garbage in GARBAGE:
            try:
                change(data_dir, f"UPDATE {table} SET {column} = {garbage}")  # noqa: S608 # ours
            except sqlite3.IntegrityError:
                continue
            result = fsck(data_dir)
            assert isinstance(result.exception, SystemExit | None), (column, garbage)
            assert result.exit_code in {0, 1, 2}, (column, garbage, result.output)
            assert "Traceback" not in result.output
            (data_dir / "unlearn.db").write_bytes(original)
