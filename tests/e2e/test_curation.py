"""`unlearn value`, `curate` and `preview` beside a real server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from matplotlib.axes import Axes
from PIL import Image

from tests.e2e.conftest import Filled, MakeSample, Server
from unlearn.v1.model_pb2 import Sample
from unlearn_client import Selection
from unlearn_client.cli import main

Run = Callable[..., Result]


@pytest.fixture
def run(server: Server) -> Run:
    def run(*words: object, answer: str = "") -> Result:
        address = ["--address", f"localhost:{server.port}"]
        return CliRunner().invoke(main, [*address, *map(str, words)], input=answer)

    return run


def documents(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    # The server logs into the same output.
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


@pytest.fixture
def model_id(filled: Filled, make_sample: MakeSample) -> str:
    """A model of the same samples, of which some are harmful, whatever was drawn before."""
    users = [make_sample(f"u{i}", f"person-{i % 3}") for i in range(9)]
    samples = [*users, make_sample("c0"), make_sample("c1")]
    rng = np.random.default_rng(4)
    for sample in samples:
        sample.features.values[:] = rng.normal(size=3)
        sample.label = int(rng.integers(2))
    return filled(samples)


def test_value_shows_the_error_and_the_most_harmful_samples(
    run: Run, server: Server, model_id: str
) -> None:
    values = list(server.client.differentiate_dataset(model_id))
    shown = documents(run("--json", "value", model_id, "--limit", 4))
    assert [each["id"] for each in shown] == [value.id for value in values[:4]]
    assert [each["derivative"] for each in shown] == [value.derivative for value in values[:4]]
    error = server.client.estimate_error(model_id)
    people = run("value", model_id).stdout
    assert f"{error.accuracy:.2%} of 11 samples" in people
    cells = people.split()
    assert cells.index(values[0].id) < cells.index(values[-1].id)
    by_subject = documents(run("--json", "value", model_id, "--by-subject"))
    assert len(by_subject) == 3


def test_curate_proposes_and_changes_nothing_until_told(
    run: Run, server: Server, model_id: str
) -> None:
    values = list(server.client.differentiate_dataset(model_id))
    largest = max(abs(value.derivative) for value in values)
    harmful = [value.id for value in values if value.derivative > 0 and not value.core]
    assert harmful
    etag = server.client.get_model(model_id).etag
    *proposals, looked_ahead = documents(run("--json", "curate", model_id))
    assert server.client.get_model(model_id).etag == etag
    assert [each["sample"] for each in proposals if not each["weight"]] == harmful
    for proposal, value in zip(proposals, values, strict=True):
        if proposal["weight"]:
            assert proposal["weight"] == pytest.approx(1 - 0.1 * value.derivative / largest)

    kept = run("curate", model_id, "--apply", answer="n\n")
    assert kept.exit_code == 1
    assert server.client.get_model(model_id).etag == etag
    done = run("curate", model_id, "--apply", "--yes")
    assert done.exit_code == 0
    assert "SUCCEEDED" in done.stdout
    assert "Keep these: --request-id " in done.stderr
    left = {value.id for value in server.client.differentiate_dataset(model_id)}
    assert left == {value.id for value in values} - set(harmful)
    error = server.client.estimate_error(model_id)
    assert looked_ahead["errorAfter"] == error.error
    assert documents(run("--json", "audit", model_id))[0]["consistent"]


def test_curate_leaves_alone_what_is_below_epsilon(run: Run, model_id: str, server: Server) -> None:
    (first, *_) = server.client.differentiate_dataset(model_id)
    proposals = documents(run("--json", "curate", model_id, "--epsilon", first.derivative))
    assert all(each["weight"] for each in proposals)
    applied = run("curate", model_id, "--epsilon", first.derivative, "--apply", "--yes")
    assert "0 of 11 samples to erase" in applied.stdout


def test_curate_weighs_in_as_many_steps_as_it_is_told(
    run: Run, model_id: str, server: Server
) -> None:
    words = ["--json", "curate", model_id, "--epsilon", 1e9]
    for steps in (1, 3):
        values = server.client.differentiate_dataset(model_id, steps=steps)
        weights = [value.proposed_weight for value in values]
        proposals = documents(run(*words, "--steps", steps))
        assert [each["weight"] for each in proposals] == weights
    assert run(*words, "--steps", 4).exit_code == 2


def test_curate_values_under_the_least_ridge_with_few_false_alarms(
    run: Run, server: Server, filled: Filled, make_sample: MakeSample
) -> None:
    core = [make_sample(f"c{i}") for i in range(40)]
    model_id = filled([*core, *(make_sample(f"u{i}", f"person-{i}") for i in range(10))])
    own = server.client.get_model(model_id).user_weights.ridge
    ridges = [own * factor for factor in (1, 3, 10, 30, 100, 300, 1000)]
    alarms = []
    for ridge in ridges:
        values = list(server.client.differentiate_dataset(model_id, ridge=ridge))
        alarms.append(sum(value.derivative > 0 for value in values if value.core))
    least = next(ridge for ridge, count in zip(ridges, alarms, strict=True) if count <= 2)
    assert own < least < ridges[-1], alarms
    assert f"ridge {least:g}\n" in run("curate", model_id).stderr
    assert f"ridge {own:g}\n" in run("curate", model_id, "--ridge", own).stderr
    few = filled([*core[:19], make_sample("u", "ann")])
    assert f"ridge {own:g}\n" in run("curate", few).stderr


def test_curate_draws_the_error_against_the_fraction_removed(
    run: Run, server: Server, model_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves, plot = [], Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda *a, **k: curves.append(a[1:3]) or plot(*a, **k))
    drawn = tmp_path / "removed.svg"
    proposals = documents(run("--json", "curate", model_id, "--plot", drawn))[:-1]
    assert "<svg" in drawn.read_text()
    erased = [each["sample"] for each in proposals if not each["weight"]]
    assert len(erased) > 1
    (fractions, errors), (same, wrong) = curves
    assert fractions == same
    assert (fractions[0], fractions[-1]) == (0, len(erased) / 11)
    now = server.client.estimate_error(model_id)
    assert (errors[0], wrong[0]) == (now.error, 1 - now.accuracy)
    for fraction, error, part in zip(fractions[1:], errors[1:], wrong[1:], strict=True):
        gone = Selection.samples(erased[: round(11 * fraction)])
        seen = server.client.preview_erasure(model_id, gone)
        assert (error, part) == (seen.error_after, 1 - seen.accuracy_after)


@pytest.mark.parametrize("command", ["value", "curate"])
@pytest.mark.parametrize("file", ["a.tiff", "a", "missing/a.svg"])
def test_a_picture_that_cannot_be_drawn_is_told_before_any_work(
    run: Run, command: str, file: str
) -> None:
    assert "--plot" in run(command, "no-such-model", "--plot", file).stderr


def test_preview_says_what_would_become_scarce(run: Run, server: Server, model_id: str) -> None:
    asked = server.client.preview_erasure(
        model_id, Selection.subjects(["person-1"]), minimum_class_samples=11
    )
    words = ["preview", model_id, "--subject", "person-1", "--minimum-class-samples", 11]
    people = run(*words).stdout
    assert f"{asked.error_before:.6g} -> {asked.error_after:.6g}" in people
    assert all(size.label in people for size in asked.scarce_classes)
    (shown,) = documents(run("--json", *words))
    assert shown["errorAfter"] == asked.error_after
    assert run("preview", model_id, "--subject", "person-1").exit_code == 0
    assert run("preview", model_id).exit_code == 2
    assert run("preview", model_id, "--all", "--sample", "u1").exit_code == 2


def test_a_model_is_created_with_the_ridge_of_the_least_error_on_core_samples(
    run: Run, server: Server, fresh_id: Callable[[], str], tmp_path: Path
) -> None:
    model_id, manifest = fresh_id(), tmp_path / "core.csv"
    rng = np.random.default_rng(0)
    n = 30
    X, labels = rng.normal(size=(n, 9)), rng.integers(0, 2, n)
    X = (X + 2 * labels[:, None]) / 10
    head = ",".join(["sample_id", "label", "retention", *(f"f{i}" for i in range(9))])
    lines = [f"{i},{labels[i]},core,{','.join(map(str, X[i]))}" for i in range(n)]
    manifest.write_text("\n".join([head, *lines]))
    before = {model.name for model in server.client.list_models()}
    words = ["models", "create", model_id, "--core", "features:9", "--class", "0", "--class", "1"]
    done = run(*words, "--tune-on", manifest)
    assert done.exit_code == 0, done.output

    psi, t = np.hstack([X, np.ones((n, 1))]), 15 * np.eye(2)[labels]
    errors = {lam: left_out_error(psi, t, lam) for lam in (1.0, 10.0, 100.0, 1000.0)}
    least = min(errors, key=errors.__getitem__)
    assert least != 10.0  # the core's own
    created = server.client.get_model(model_id)
    assert created.user_weights.ridge == pytest.approx(least, rel=1e-6)
    assert created.sample_count == 0
    assert {model.name for model in server.client.list_models()} == before | {created.name}

    manifest.write_text(manifest.read_text().replace(",core,", ",user,"))
    assert run(*words, "--tune-on", manifest).exit_code == 2
    assert run(*words, "--try-map", "identity").exit_code == 2
    tangent = '{"parametrization": "TANGENT"}'
    assert run(*words, "--tune-on", manifest, "--user-weights", tangent).exit_code == 2


def left_out_error(psi: np.ndarray, t: np.ndarray, lam: float) -> float:
    """By refitting for each row."""
    total = 0.0
    for i in range(len(psi)):
        rest = np.arange(len(psi)) != i
        A = psi[rest].T @ psi[rest] + lam * np.eye(psi.shape[1])
        W = np.linalg.solve(A, psi[rest].T @ t[rest])
        total += float(np.square(t[i] - psi[i] @ W).sum())
    return total / len(psi)


@pytest.fixture
def photos(tmp_path: Path) -> Iterator[Path]:
    for label, level in (("cat", 40), ("dog", 200)):
        (tmp_path / label).mkdir()
        for i in range(2):
            Image.new("RGB", (64, 64), (level, level, 20 * i)).save(tmp_path / label / f"{i}.png")
    return tmp_path


def test_the_most_harmful_images_are_drawn(
    run: Run, server: Server, photos: Path, fresh_id: Callable[[], str], tmp_path: Path
) -> None:
    model_id, drawn = fresh_id(), tmp_path / "values.svg"
    server.client.create_model(model_id, "efficientnet-lite0", ["cat", "dog"])
    server.client.add_samples(
        model_id,
        [
            Sample(
                sample_id=path.relative_to(photos).with_suffix("").as_posix(),
                subject_id="ann",
                image=path.read_bytes(),
                label=["cat", "dog"].index(path.parent.name),
                retention=Sample.USER,
            )
            for path in photos.rglob("*.png")
        ],
    )
    server.client.create_release(model_id)
    done = run("value", model_id, "--plot", drawn, "--images", photos)
    assert done.exit_code == 0, done.output
    assert drawn.read_text().count("<image ") == 4
    assert run("value", model_id, "--images", photos).exit_code == 2
    (tmp_path / "empty").mkdir()
    elsewhere = run("value", model_id, "--plot", drawn, "--images", tmp_path / "empty")
    assert elsewhere.exit_code == 2
