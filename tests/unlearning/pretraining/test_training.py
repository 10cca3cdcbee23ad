"""Runs that are stopped and go on, to the bit; disks that are full; settings that changed."""

import json
import resource
from contextlib import contextmanager
from math import cos, pi
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from unlearning.errors import CoreError
from unlearning.pretraining import runs
from unlearning.pretraining.augmentation import Augmentation
from unlearning.pretraining.cids import Cids
from unlearning.pretraining.encoders import SmallEncoder
from unlearning.pretraining.runs import CHECKPOINT, CURVE, METRICS, Run
from unlearning.pretraining.training import Schedule, seeded, train

SCHEDULE = Schedule(steps=7, batch=4, rate=1e-2, seed=3, checkpoint_every=2)
PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8))
PIXELS[::2, :, ::4] = 0


class StoppedError(Exception):
    pass


def learner():
    with seeded(SCHEDULE.seed):
        encoder = SmallEncoder(16)
        labels = torch.arange(6) % 2
        options = {"positives": 9, "temperature": 0.2, "momentum": 0.9, "queue": 9}
        return Cids(encoder, PIXELS, labels, Augmentation(), **options)


def run(folder: Path, stop: int | None = None, *, made: nn.Module | None = None, **settings: str):
    def progress(done: int, of: int) -> None:
        assert of == SCHEDULE.steps
        if done == stop:
            raise StoppedError

    made = made or learner()
    train(made, len(PIXELS), SCHEDULE, Run("mine", folder, settings), progress)
    return made


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return run(folder).state_dict(), (folder / METRICS).read_text()


@pytest.mark.parametrize("stops", [(1,), (2,), (5,), (3, 5, 6)])
def test_what_was_stopped_ends_with_the_same_bits(tmp_path, never_stopped, stops):
    for stop in stops:
        with pytest.raises(StoppedError):
            run(tmp_path, stop)
    state, metrics = run(tmp_path).state_dict(), (tmp_path / METRICS).read_text()
    expected, expected_metrics = never_stopped
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    assert metrics == expected_metrics


def test_metrics_that_are_ahead_of_their_checkpoint_are_told_once(tmp_path, never_stopped):
    with pytest.raises(StoppedError):
        run(tmp_path, 2)
    _, whole = never_stopped
    (tmp_path / METRICS).write_text("".join(whole.splitlines(keepends=True)[:4]))
    run(tmp_path)
    assert (tmp_path / METRICS).read_text() == whole


def test_no_more_than_an_interval_is_lost(tmp_path):
    with pytest.raises(StoppedError):
        run(tmp_path, 6)
    done = []
    train(learner(), 6, SCHEDULE, Run("mine", tmp_path, {}), lambda step, _: done.append(step))
    assert done == [7]


def test_every_step_is_in_the_metrics(tmp_path):
    run(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(7))
    assert all(0 <= line["loss"] < 10 for line in lines)
    assert lines[3]["rate"] == pytest.approx(1e-2 * (1 + cos(pi * 3 / 7)) / 2)
    assert (tmp_path / CURVE).read_text().count("<polyline") == 1


def test_the_loss_falls(tmp_path):
    schedule = Schedule(steps=60, batch=6, rate=1e-3, seed=0, checkpoint_every=60)
    train(learner(), 6, schedule, Run("mine", tmp_path, {}), lambda *_: None)
    lines = (tmp_path / METRICS).read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert np.mean(losses[-10:]) < np.mean(losses[5:15]) - 0.05


def test_every_image_comes_once_in_each_order():
    rows = torch.cat([SCHEDULE.rows(step, 6) for step in range(6)]).reshape(4, 6)
    assert all(sorted(order.tolist()) == list(range(6)) for order in rows)
    assert len({tuple(order.tolist()) for order in rows}) > 1


def test_a_batch_may_be_larger_than_the_set():
    rows = Schedule(1, 10, 1e-3, 0, 1).rows(0, 4)
    assert sorted(torch.bincount(rows).tolist()) == [2, 2, 3, 3]


@contextmanager
def files_of_at_most(size: int):
    """A real error of the system's, as a full disk gives."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, never_stopped):
    with pytest.raises(StoppedError):
        run(tmp_path, 3)
    before = (tmp_path / CHECKPOINT).read_bytes()
    with files_of_at_most(len(before) // 2), pytest.raises(CoreError) as error:
        run(tmp_path)
    assert "step 4 cannot be written" in str(error.value)
    assert "make room" in str(error.value)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    state = run(tmp_path).state_dict()
    assert all(torch.equal(state[name], never_stopped[0][name]) for name in state)


def test_a_run_of_other_settings_is_not_gone_on_with(tmp_path):
    with pytest.raises(StoppedError):
        run(tmp_path, 2, size="16", labels="True")
    with pytest.raises(CoreError, match="whose labels was another"):
        run(tmp_path, size="16", labels="False")


def test_a_damaged_checkpoint_is_told(tmp_path):
    with pytest.raises(StoppedError):
        run(tmp_path, 2)
    (tmp_path / CHECKPOINT).write_bytes((tmp_path / CHECKPOINT).read_bytes()[:-100])
    with pytest.raises(CoreError, match="is not what a run has written"):
        run(tmp_path)


@pytest.mark.parametrize("content", [None, b"{", b"[1]\n", b"{}\n", b"\xff"])
def test_damaged_metrics_are_told(tmp_path, content):
    with pytest.raises(StoppedError):
        run(tmp_path, 2)
    (tmp_path / METRICS).unlink()
    if content is not None:
        (tmp_path / METRICS).write_bytes(content)
    with pytest.raises(CoreError, match="is not what a run has written"):
        run(tmp_path)


def test_a_checkpoint_that_no_run_has_written_is_told(tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(save({"weight": torch.zeros(1)}))
    with pytest.raises(CoreError, match="is not what a run has written"):
        run(tmp_path)


def test_a_loss_that_is_not_finite_ends_the_run_before_a_checkpoint(tmp_path):
    made = learner()
    nn.init.constant_(next(made.query.parameters()), float("nan"))
    with pytest.raises(CoreError, match="step 0 is nan"):
        run(tmp_path, made=made)
    assert not (tmp_path / CHECKPOINT).exists()


def test_what_was_never_finished_is_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(runs.os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_each_step_draws_anew():
    draws = [torch.rand(3, generator=SCHEDULE.generator(step)).tolist() for step in range(20)]
    assert len({tuple(draw) for draw in draws}) == 20
    assert draws[4] == torch.rand(3, generator=SCHEDULE.generator(4)).tolist()
