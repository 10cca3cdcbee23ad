"""Comparisons with retraining, on logits made by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from unlearning.readouts.comparison import Outputs, called_members, compare, distances, errors
from unlearning.readouts.intervals import clopper_pearson
from unlearning.readouts.model import Samples
from unlearning.readouts.relearning import Relearning
from unlearning.readouts.result import Finding, ReadOut

LABELS = np.tile([0, 1, 2], 40)
SAMPLES = Samples.of(LABELS, np.arange(120) < 12, [np.arange(12, 24)], np.arange(80, 120))
CONFIDENCE = 0.99


def logits(labels: NDArray[np.integer], height: float, wrong: int = 0) -> NDArray[np.float64]:
    """Of models as sure of each sample as ``height``, and of the first ones wrongly so."""
    shown = labels.copy()
    shown[:wrong] = (shown[:wrong] + 1) % 3
    return height * np.eye(3)[shown]


def model(erased: float = 1.0, wrong: int = 4, noise: int | None = None) -> Outputs:
    """Sure of what was retained, less of what was not."""
    heights = {"erased": (erased, wrong), "retained": (5.0, 1), "test": (1.0, 12)}
    made = {part: logits(LABELS[rows], *heights[part]) for part, rows in SAMPLES.parts.items()}
    if noise is not None:
        rng = np.random.default_rng(noise)
        made = {part: each + rng.normal(0, 0.1, each.shape) for part, each in made.items()}
    return made


def compared(ours: Outputs, theirs: list[Outputs], mu: float = 0.0) -> dict[str, ReadOut]:
    targets = 5.0 * np.eye(3)[LABELS[SAMPLES.erased]]
    relearning = Relearning(
        lambda u: u * np.linspace(0.1, 1, len(u))[:, None],
        targets,
        0.9 * targets,
        np.random.default_rng(0),
    )
    found = compare(SAMPLES, ours, theirs, relearning, mu, CONFIDENCE)
    return {one.name: one for one in found}


def failing(found: dict[str, ReadOut]) -> dict[str, Finding]:
    return {name: one.finding for name, one in found.items() if one.finding is not Finding.WITHIN}


def test_errors_are_labels_that_are_not_the_largest_logit() -> None:
    wrong = errors(model(), SAMPLES)
    assert {part: int(flags.sum()) for part, flags in wrong.items()} == {
        "erased": 4,
        "retained": 1,
        "test": 12,
    }
    assert wrong["erased"][:4].all()


def test_distances_are_euclidean_and_averaged_over_samples() -> None:
    one, other = model(), model()
    other["test"] = other["test"] + np.array([3, 0, 4])
    assert distances(one, other) == {"erased": 0, "retained": 0, "test": 5}


def test_the_entropy_attack_calls_members_those_as_sure_as_the_retained() -> None:
    called = called_members(model(erased=5.0))
    assert called["erased"].all()
    assert called["retained"].all()
    assert not called["test"].any()
    assert not called_members(model(erased=1.0))["erased"].any()


def test_the_same_model_is_within_everything() -> None:
    found = compared(model(), [model()] * 3)
    assert len(found) == 10
    assert not failing(found)
    for name in ("activation distance, erased", "activation distance, test"):
        assert found[name].permitted.low == found[name].permitted.high == 0
    steps = found["relearn steps"]
    assert steps.permitted.low == steps.measured.value == steps.permitted.high > 1


def test_shares_are_permitted_within_the_hull_of_the_intervals_of_all_retrainings() -> None:
    found = compared(model(), [model(wrong=k) for k in (3, 4, 8)])
    permitted = found["error, erased"].permitted
    assert permitted.low == clopper_pearson(3, 12, CONFIDENCE).low
    assert permitted.high == clopper_pearson(8, 12, CONFIDENCE).high
    assert permitted.value == pytest.approx(5 / 12)


def test_a_model_that_still_knows_is_told_from_retraining() -> None:
    found = failing(compared(model(erased=5.0, wrong=0), [model(wrong=10)] * 3))
    assert found == {
        "error, erased": Finding.BELOW,
        "called trained on, erased": Finding.ABOVE,
        "activation distance, erased": Finding.ABOVE,
        "relearn steps": Finding.BELOW,
    }


def test_a_model_that_forgot_too_much_is_told_as_well() -> None:
    found = failing(compared(model(wrong=12), [model(wrong=1)] * 3))
    assert found["error, erased"] is Finding.ABOVE
    assert found["relearn steps"] is Finding.ABOVE


def test_without_noise_the_last_bit_counts() -> None:
    ours = model()
    ours["test"] = np.nextafter(ours["test"], 9)
    assert failing(compared(ours, [model()] * 3)) == {"activation distance, test": Finding.ABOVE}


def test_with_noise_one_more_retraining_is_within_and_a_model_that_knows_is_not() -> None:
    retrained = [model(noise=seed) for seed in range(8)]
    assert not failing(compared(model(noise=8), retrained))
    found = failing(compared(model(erased=5.0, wrong=0, noise=8), retrained))
    assert found["activation distance, erased"] is Finding.ABOVE
    assert found["relearn steps"] is Finding.BELOW


def test_where_nothing_is_promised_distances_and_relearn_steps_refute_nothing() -> None:
    found = compared(model(erased=5.0), [model()] * 3, mu=np.inf)
    assert not {"relearn steps", "activation distance, erased"} & failing(found).keys()
    permitted = found["relearn steps"].to_json()["permitted"]
    assert permitted["low"] is permitted["high"] is None
