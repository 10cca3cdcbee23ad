"""A witness's two files: made together, kept private, and refused where they do not fit."""

import os
import shutil
from pathlib import Path

import pytest

from tests.unlearn_client.witness.conftest import NAME
from unlearn_client.witness import Cosigner, WitnessError, opened, read_logs


@pytest.fixture
def used(tmp_path: Path, log, request_of) -> Path:
    """The folder of a witness that has signed something."""
    with opened(tmp_path / "state", tmp_path / "key", NAME) as (key, state):
        cosigner = Cosigner(key, read_logs([log.key.verifier_key()]), state)
        assert cosigner.add_checkpoint(request_of(log, 0, 5)).status == 200
    return tmp_path


def refuses(folder: Path, reason: str, name: str = NAME) -> None:
    with pytest.raises(WitnessError, match=reason), opened(folder / "state", folder / "key", name):
        pass


def test_what_was_signed_is_known_again(used, log, request_of):
    with opened(used / "state", used / "key", NAME) as (key, state):
        cosigner = Cosigner(key, read_logs([log.key.verifier_key()]), state)
        assert cosigner.add_checkpoint(request_of(log, 0, 5)).body == "5\n"
        assert cosigner.add_checkpoint(request_of(log, 5, 7)).status == 200


def test_only_the_owner_may_read_the_files(used):
    for name in ("key", "state"):
        assert (used / name).stat().st_mode & 0o777 == 0o600
    (used / "key").chmod(0o640)
    refuses(used, "chmod 600")


def test_a_lost_state_is_not_begun_anew(used):
    (used / "state").unlink()
    refuses(used, "state: is missing")
    assert not (used / "state").exists()


def test_a_lost_key_is_not_replaced(used):
    (used / "key").unlink()
    refuses(used, "key: is missing; restore it")


@pytest.mark.parametrize("step", [1, 7])
def test_a_damaged_state_is_told(used, step):
    whole = (used / "state").read_bytes()
    for position in range(0, len(whole), step * 13):
        changed = bytearray(whole)
        changed[position] ^= 1
        (used / "state").write_bytes(changed)
        with opened_or_refused(used) as state:
            # What is not told changed nothing: space between the members.
            assert state is None or [each.size for each in state.checkpoints.values()] == [5]
    for length in range(0, len(whole), 20):
        (used / "state").write_bytes(whole[:length])
        refuses(used, "is damaged")


class opened_or_refused:  # noqa: N801 # reads as what it does
    def __init__(self, folder: Path) -> None:
        self._opened = opened(folder / "state", folder / "key", NAME)

    def __enter__(self):
        try:
            return self._opened.__enter__()[1]
        except WitnessError:
            self._opened = None
            return None

    def __exit__(self, *exception: object) -> None:
        if self._opened:
            self._opened.__exit__(*exception)


def test_the_state_of_another_witness_is_refused(used, tmp_path):
    refuses(used, "belong together", name="w.example/2")
    other = tmp_path / "other"
    other.mkdir()
    with opened(other / "state", other / "key", NAME):
        pass
    shutil.copy(used / "state", other / "state")
    refuses(other, "belong together")


def test_two_processes_cannot_have_one_state(used):
    with opened(used / "state", used / "key", NAME):
        refuses(used, "in use by another witness")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n"])
def test_names_that_cannot_stand_in_a_note(tmp_path, name):
    refuses(tmp_path, "no spaces", name=name)
    assert not (tmp_path / "key").exists()


def test_what_cannot_be_written_is_not_signed(used, log, request_of, monkeypatch):
    with opened(used / "state", used / "key", NAME) as (key, state):
        cosigner = Cosigner(key, read_logs([log.key.verifier_key()]), state)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            cosigner.add_checkpoint(request_of(log, 5, 7))
        monkeypatch.undo()
        assert cosigner.add_checkpoint(request_of(log, 5, 6)).status == 200


def test_logs_that_are_none():
    with pytest.raises(WitnessError, match="--log"):
        read_logs(["nonsense"])
