"""``unlearn verify``: what it prints, what it keeps, and how it ends."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unlearn_client.verification.logs import SALT, SUBJECTS, Key, SignedLog, statement
from unlearn_client.cli import main

LOG = SignedLog(8)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """The three files of certificate 3, at size 7."""
    for name, content in LOG.files(3, 7).items():
        (tmp_path / name).write_bytes(content)
    return sorted(tmp_path.iterdir())


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "operator.pem"
    path.write_text(LOG.key.pem)
    return path


def run(*words: object) -> Result:
    """Nothing serves at this address: the command must not ask."""
    return CliRunner().invoke(main, ["--address", "127.0.0.1:1", *map(str, words)])


def documents(*words: object) -> list[dict]:
    return [json.loads(line) for line in run("--json", "verify", *words).stdout.splitlines()]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_three_lists_for_people(files, key):
    result = run("verify", *files, "--key", key)
    assert result.exit_code == 0
    text = squeezed(result.stdout)
    proven, _, rest = text.partition("Claimed, by the owner of the key:")
    claimed, _, not_covered = rest.partition("Not covered:")
    assert text.startswith("VERIFIED: entry 3 of unlearn.example/log")
    assert "holds exactly this certificate at index 3" in proven
    assert f"by the key {LOG.key.fingerprint} (which you trust)" in proven
    assert "Erased 1 sample of 3 subjects named; 57 remain" in claimed
    assert 'Method EXACT {"ridge": 1}' in claimed
    assert "on time" in claimed
    assert "copies that others made" in not_covered


def test_without_a_key_it_says_what_that_leaves_open(files):
    result = run("verify", *files)
    assert result.exit_code == 0
    assert "its own, not pinned" in squeezed(result.stdout)
    assert "That the key belongs to whom you think" in squeezed(result.stdout)


def test_documents_for_programs(files, key):
    (found,) = documents(*files, "--key", key)
    assert found["verified"]
    assert found["key"] == {"sha256": LOG.key.fingerprint, "pinned": True}
    assert found["statement"] == statement(3)
    assert {"what": "Completed", "words": "2026-01-01 00:00 UTC, on time"} in found["claimed"]
    assert found["files"] == [str(path) for path in files]


def test_a_refusal_ends_with_1_and_claims_nothing(files, tmp_path):
    other = tmp_path / "other.pem"
    other.write_text(Key(9).pem)
    result = run("verify", *files, "--key", other)
    assert result.exit_code == 1
    assert "REFUSED" in result.stdout
    assert "no key that you trust" in squeezed(result.stdout)
    assert "Claimed" not in result.stdout
    for found in documents(*files, "--key", other):
        assert (found["verified"], found["statement"], found["proven"]) == (False, None, [])
        assert found["refusal"]


def test_one_refusal_among_others_ends_with_1(files, key, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    result = run("verify", *files, bad, "--key", key)
    assert result.exit_code == 1
    assert "VERIFIED" in result.stdout
    assert "REFUSED" in result.stdout


def test_wrong_usage_ends_with_2(files, key, tmp_path):
    for words in (
        [],
        [tmp_path / "missing"],
        [tmp_path],
        [*files, "--key", files[0]],
        [*files, "--log", tmp_path / "missing"],
        [*files, "--subject", "ada"],
        [*files, "--salt-file", key, "--subject", "ada"],
        [*files, "--salt-file", key],
    ):
        assert run("verify", *words).exit_code == 2, words


def test_a_checkpoint_is_made_then_kept_current_and_never_goes_back(files, key, tmp_path):
    kept = tmp_path / "kept"
    place = LOG.publish(tmp_path / "log", 7)
    words = [*files, "--key", key, "--checkpoint", kept]
    made = run("verify", *words)
    assert "checkpoint at size 7" in made.stderr
    assert kept.read_bytes() == LOG.checkpoint(7)
    assert run("verify", *words).stderr == ""
    assert run("verify", *words, "--log", place).exit_code == 0
    assert kept.read_bytes() == LOG.checkpoint(8)
    assert run("verify", *words, "--log", place).exit_code == 0
    assert kept.read_bytes() == LOG.checkpoint(8)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_a_refusal_leaves_the_checkpoint_as_it_was(files, key, tmp_path):
    kept = tmp_path / "kept"
    fork = SignedLog(5)
    fork.append(statement(5) | {"note": "another history"})
    fork.append()
    kept.write_bytes(fork.checkpoint())
    result = run("verify", *files, "--key", key, "--checkpoint", kept)
    assert result.exit_code == 1
    assert "the log shows two histories" in squeezed(result.stdout)
    assert kept.read_bytes() == fork.checkpoint()


def test_a_refusal_makes_no_checkpoint(files, tmp_path):
    other = tmp_path / "other.pem"
    other.write_text(Key(9).pem)
    run("verify", *files, "--key", other, "--checkpoint", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_log_that_is_refused_refuses_every_file(files, key, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("nothing")
    (found,) = documents(*files, "--key", key, "--checkpoint", kept)
    assert found["files"] == [str(path) for path in files]
    assert "not a signed note" in found["refusal"]
    assert run("verify", *files, "--key", key, "--checkpoint", kept).exit_code == 1


def test_a_checkpoint_that_cannot_be_written(files, key, tmp_path):
    result = run("verify", *files, "--key", key, "--checkpoint", tmp_path / "none" / "kept")
    assert result.exit_code == 2
    assert "cannot be written" in squeezed(result.stderr)


@pytest.mark.parametrize("salt", [SALT, SALT.hex().encode(), SALT.hex().encode() + b"\n"])
def test_the_commitments_are_opened(files, key, tmp_path, salt):
    path = tmp_path / "salt"
    path.write_bytes(salt)
    words = [*files, "--key", key, "--salt-file", path]
    for name in SUBJECTS:
        words += ["--subject", name]
    result = run("verify", *words, "--sample", "3")
    assert "The subjects it was asked for are exactly the 3 given." in squeezed(result.stdout)
    wrong = run("verify", *words, "--subject", "eve")
    assert wrong.exit_code == 1
    assert "eve" not in wrong.output


def test_an_oversized_file_is_refused_unread(tmp_path, key):
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(2**32)
    result = run("verify", path, "--key", key)
    assert result.exit_code == 1
    assert "larger than" in squeezed(result.stdout)
