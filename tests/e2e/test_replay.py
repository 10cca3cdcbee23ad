"""Releases exported beside the server that serves them, and recomputed without it."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from click.testing import CliRunner, Result

from unlearn.v1.model_pb2 import Sample, UserWeights
from unlearn_client import Selection
from unlearn_server import exporting, rows
from unlearn_server.cli import main as server_command
from unlearn_server.ledger import samples
from unlearning.replay.command import main as replay_command

CLASSES = ["cat", "dog", "bird"]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the few rows of a test are of several blocks."""
    monkeypatch.setattr(rows, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(
        samples, "batches", lambda keys: (keys[i : i + 3] for i in range(0, len(keys), 3))
    )


@pytest.fixture
def thirty(make_sample: Any) -> list[Sample]:
    """Every fifth of CORE, the others of six people; the last two are one row."""
    made = [make_sample(f"sample-{i}", f"person-{i % 6}" if i % 5 else "") for i in range(30)]
    made[-1].features.CopyFrom(made[-2].features)
    made[-1].label = made[-2].label
    return made


@pytest.fixture
def erased(server: Any, filled: Any, thirty: list[Sample]) -> tuple[str, str]:
    """A model that has forgotten person-1, and the name of the certificate."""
    model_id = filled(thirty)
    return model_id, erase(server, model_id, "person-1")


def erase(server: Any, model_id: str, person: str) -> str:
    accepted = server.client.create_erasure(Selection.subjects([person]), [model_id])
    (outcome,) = server.client.wait_for_erasure(accepted.name).outcomes
    return str(outcome.certificate)


def export(server: Any, model_id: str, out: Path) -> Result:
    words = ["export", model_id, "--data-dir", str(server.data_dir), "--out", str(out)]
    return CliRunner().invoke(server_command, words)


def replay(file: Path, server: Any = None, certificate: str = "", part: str = "envelope") -> Result:
    words = [str(file)]
    if certificate:
        path = file.with_suffix(f".{part}.json")
        path.write_bytes(getattr(server.client.get_certificate(certificate), part))
        words += ["--certificate", str(path)]
    return CliRunner().invoke(replay_command, words)


def contents(file: Path) -> tuple[Any, Any, Any]:
    with np.load(file) as arrays:
        return arrays["psi"].tolist(), arrays["labels"].tolist(), arrays["is_core"].tolist()


def salt_of(file: Path) -> bytes:
    with np.load(file) as arrays:
        return bytes.fromhex(json.loads(arrays["export.json"])["salt"])


@pytest.mark.parametrize("part", ["envelope", "bundle"])
def test_a_release_is_what_its_certificate_commits_to(
    server: Any, erased: tuple[str, str], tmp_path: Path, part: str
) -> None:
    model_id, certificate = erased
    exported = export(server, model_id, tmp_path / "m.npz")
    assert exported.exit_code == 0, exported.output
    assert f"models/{model_id}/releases/2" in exported.output
    done = replay(tmp_path / "m.npz", server, certificate, part)
    assert done.exit_code == 0, done.output
    assert "EQUAL" in done.output


def test_it_is_what_a_model_that_never_saw_the_person_releases(
    server: Any,
    filled: Any,
    erased: tuple[str, str],
    thirty: list[Sample],
    tmp_path: Path,
    truth_of: Any,
) -> None:
    forgot, _ = erased
    others = [sample for sample in thirty if sample.subject_id != "person-1"]
    never = filled(others[::-1])
    files = [tmp_path / f"{model_id}.npz" for model_id in (forgot, never)]
    for model_id, file in zip((forgot, never), files, strict=True):
        assert export(server, model_id, file).exit_code == 0
    assert contents(files[0]) == contents(files[1])
    truth = truth_of(server.client.get_model(forgot))
    told = replay(files[0]).output
    assert truth.commitment(salt_of(files[0]), others).hex() in told
    audit = server.client.audit_model(never, salt_of(files[0]))
    assert audit.state_commitment_recomputed.hex() in told
    assert audit.weights_commitment_served.hex() in told


def test_samples_added_since_are_not_of_the_release(
    server: Any, erased: tuple[str, str], make_sample: Any, tmp_path: Path
) -> None:
    model_id, certificate = erased
    server.client.add_samples(model_id, [make_sample(f"new-{i}", "person-9") for i in range(9)])
    assert export(server, model_id, tmp_path / "m.npz").exit_code == 0
    assert replay(tmp_path / "m.npz", server, certificate).exit_code == 0
    second = erase(server, model_id, "person-2")
    assert export(server, model_id, tmp_path / "n.npz").exit_code == 0
    assert replay(tmp_path / "n.npz", server, second).exit_code == 0
    earlier = replay(tmp_path / "n.npz", server, certificate)
    assert earlier.exit_code == 2
    assert "releases/2" in earlier.output


def test_an_erased_row_that_is_kept_differs(
    server: Any, filled: Any, thirty: list[Sample], tmp_path: Path
) -> None:
    """One who forgot nothing, but says that the release is the next, is found out."""
    model_id = filled(thirty)
    assert export(server, model_id, tmp_path / "before.npz").exit_code == 0
    certificate = erase(server, model_id, "person-1")
    assert export(server, model_id, tmp_path / "after.npz").exit_code == 0
    with np.load(tmp_path / "before.npz") as before, np.load(tmp_path / "after.npz") as after:
        forged = {name: before[name] for name in ("psi", "labels", "is_core")}
        told = after["export.json"]
    np.savez(tmp_path / "forged.npz", **forged)
    with ZipFile(tmp_path / "forged.npz", "a") as archive:
        archive.writestr("export.json", told)
    done = replay(tmp_path / "forged.npz", server, certificate)
    assert done.exit_code == 1
    gone = sum(sample.subject_id == "person-1" for sample in thirty)
    assert f"says that {30 - gone} remain, and here are 30" in done.output


def test_an_export_is_its_owners_alone_and_names_nobody(
    server: Any, erased: tuple[str, str], tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        assert export(server, erased[0], tmp_path / "m.npz").exit_code == 0
    finally:
        os.umask(before)
    assert (tmp_path / "m.npz").stat().st_mode & 0o777 == 0o600
    content = (tmp_path / "m.npz").read_bytes()
    assert b"person" not in content
    assert b"sample" not in content


def test_exporting_changes_nothing(server: Any, erased: tuple[str, str], tmp_path: Path) -> None:
    before = server.client.get_model(erased[0])
    for name in ("m.npz", "n.npz"):
        assert export(server, erased[0], tmp_path / name).exit_code == 0
    assert (tmp_path / "m.npz").read_bytes() == (tmp_path / "n.npz").read_bytes()
    assert server.client.get_model(erased[0]) == before
    assert server.client.audit_model(erased[0]).consistent


def test_it_tells_how_far_it_is(server: Any, erased: tuple[str, str]) -> None:
    told: list[tuple[int, int]] = []
    file = io.BytesIO()
    exporting.export(server.data_dir, None, None, erased[0], file, lambda *far: told.append(far))
    total = 2 * server.client.get_model(erased[0]).sample_count
    assert told == sorted(set(told))
    assert len(told) > 4
    assert told[-1] == (total, total)
    assert {of for _, of in told} == {total}


def test_what_cannot_be_exported_says_why_and_leaves_no_file(
    server: Any, filled: Any, thirty: list[Sample], tmp_path: Path
) -> None:
    unreleased = filled(thirty, release=False)
    for model_id, out, told in (
        (unreleased, "m.npz", "it serves no release"),
        ("dragons", "m.npz", "no such model"),
        ("dragons", "nowhere/m.npz", "No such file"),
    ):
        done = export(server, model_id, tmp_path / out)
        assert done.exit_code == 2
        assert told in done.output
        assert "Traceback" not in done.output
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_not_overwritten(
    server: Any, erased: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "m.npz").write_text("mine")
    done = export(server, erased[0], tmp_path / "m.npz")
    assert done.exit_code == 2
    assert "exists" in done.output
    assert (tmp_path / "m.npz").read_text() == "mine"


def test_with_noise_the_state_alone_is_compared(
    server: Any, thirty: list[Sample], fresh_id: Callable[[], str], tmp_path: Path
) -> None:
    model_id = fresh_id()
    noisy = UserWeights(noise_scale=0.5)
    server.client.create_model(model_id, "features:3", CLASSES, user_weights=noisy)
    server.client.add_samples(model_id, thirty)
    server.client.create_release(model_id)
    certificate = erase(server, model_id, "person-1")
    assert export(server, model_id, tmp_path / "m.npz").exit_code == 0
    done = replay(tmp_path / "m.npz", server, certificate)
    assert done.exit_code == 0, done.output
    assert "not recomputed" in done.output
