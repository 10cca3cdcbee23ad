"""The student's loss against its definition, and teachers that cannot teach."""

import numpy as np
import pytest
import torch

from unlearning.errors import CoreError, InvalidInputError
from unlearning.pretraining.consolidation import Consolidation, lessons
from unlearning.pretraining.encoders import SmallEncoder
from unlearning.pretraining.runs import Run
from unlearning.pretraining.training import Schedule, seeded, train


class Teacher:
    """Puts out what it was made with."""

    name, input = "teacher", "image"

    def __init__(self, features):
        self._features = features

    def resolve(self, feature_map):
        if feature_map:
            raise InvalidInputError("user_weights.feature_map", "unknown", "use another")
        return "0:1x1"

    def extract(self, _, samples):
        rows = self._features[: len(samples)]
        return np.column_stack([rows, np.ones(len(rows))]).astype(np.float32)


class Words(Teacher):
    input = "text"


RNG = np.random.default_rng(1)
WIDE, NARROW = RNG.normal(3, 2, (8, 7)), RNG.normal(-1, 0.1, (8, 2))
PIXELS = torch.from_numpy(RNG.integers(0, 256, (8, 16, 16, 3), np.uint8))


def taught(features):
    return lessons(Teacher(features), "", [b""] * len(features))


def test_heads_that_know_nothing_leave_all_of_the_variance():
    made = Consolidation(SmallEncoder(16), PIXELS, [taught(WIDE), taught(NARROW)])
    assert made(torch.arange(8), torch.Generator()).item() == pytest.approx(1.0, rel=1e-6)


def test_the_loss_is_the_unexplained_variance_of_each_teacher():
    with seeded(0):
        made = Consolidation(SmallEncoder(16), PIXELS, [taught(WIDE), taught(NARROW)])
        for weight in made.heads.parameters():
            torch.nn.init.normal_(weight)
    z = made.encoder(((PIXELS.float() - 127.5) / 127.5).permute(0, 3, 1, 2)).detach().numpy()
    parts = []
    for head, features in zip(made.heads, (WIDE, NARROW), strict=True):
        predicted = z @ head.weight.detach().numpy().T + head.bias.detach().numpy()
        centred = features - features.mean(0)
        unit = np.sqrt((centred**2).mean())
        left = ((predicted * unit - centred) ** 2).sum(1).mean()
        parts.append(left / (centred**2).sum(1).mean())
    found = made(torch.arange(8), torch.Generator()).item()
    assert found == pytest.approx(np.mean(parts), rel=1e-5)


def test_units_of_a_teacher_do_not_matter():
    assert torch.allclose(taught(WIDE), taught(WIDE * 50 + 7), atol=1e-5)


def test_a_teacher_of_something_else_is_refused_by_name():
    with pytest.raises(CoreError, match="core teacher: it takes text"):
        lessons(Words(WIDE), "", [b""] * 8)


def test_an_unknown_map_is_refused():
    with pytest.raises(InvalidInputError, match="feature_map"):
        lessons(Teacher(WIDE), "9:9x9", [b""] * 8)


def test_a_teacher_that_sees_no_difference_is_refused():
    with pytest.raises(CoreError, match="sees no difference"):
        taught(np.ones((8, 3)))


def test_a_student_comes_to_know_its_teachers(tmp_path):
    schedule = Schedule(steps=40, batch=8, rate=1e-2, seed=0, checkpoint_every=40)
    with seeded(0):
        made = Consolidation(SmallEncoder(16), PIXELS, [taught(WIDE), taught(NARROW)])
    train(made, len(PIXELS), schedule, Run("student", tmp_path, {}), lambda *_: None)
    assert made(torch.arange(8), torch.Generator()).item() < 0.5
