"""Comparisons with retraining, on logits made by hand."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from unlearning.readouts.comparison import (
    READ_OUTS,
    Outputs,
    called_members,
    compare,
    distances,
    errors,
    figures,
)
from unlearning.readouts.intervals import Interval, clopper_pearson
from unlearning.readouts.model import Samples
from unlearning.readouts.relearning import Relearning
from unlearning.readouts.result import Finding, ReadOut

LABELS = np.tile([0, 1, 2], 40)
SAMPLES = Samples.of(LABELS, np.arange(120) < 12, [np.arange(12, 24)], np.arange(80, 120))
CONFIDENCE = 0.99
MANY = 32
ERRING = 20


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


def compared(ours: list[Outputs], theirs: list[Outputs], mu: float = 0.0) -> dict[str, ReadOut]:
    targets = 5.0 * np.eye(3)[LABELS[SAMPLES.erased]]
    relearning = Relearning(
        lambda u: u * np.linspace(0.1, 1, len(u))[:, None],
        targets,
        0.9 * targets,
        np.random.default_rng(0),
    )
    reference, *theirs = theirs
    unlearned, retrained = (
        [figures(one, reference, SAMPLES, relearning) for one in releases]
        for releases in (ours, theirs)
    )
    return {one.name: one for one in compare(unlearned, retrained, mu, CONFIDENCE)}


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
    found = compared([model()] * MANY, [model()] * MANY)
    assert len(found) == READ_OUTS
    assert not failing(found)
    for one in found.values():
        assert one.measured == one.permitted == Interval.point(one.measured.value)
    assert found["error, erased"].measured.value == 4 / 12
    assert found["activation distance, erased"].measured.value == 0
    assert found["relearn steps"].measured.value > 1


def test_a_model_that_still_knows_is_told_from_retraining() -> None:
    found = failing(compared([model(erased=5.0, wrong=0)] * MANY, [model(wrong=10)] * MANY))
    assert found == {
        "error, erased": Finding.BELOW,
        "called trained on, erased": Finding.ABOVE,
        "activation distance, erased": Finding.ABOVE,
        "relearn steps": Finding.BELOW,
    }


def test_a_model_that_forgot_too_much_is_told_as_well() -> None:
    found = failing(compared([model(wrong=12)] * MANY, [model(wrong=1)] * MANY))
    assert found["error, erased"] is Finding.ABOVE
    assert found["relearn steps"] is Finding.ABOVE


def test_without_noise_one_sample_counts_and_the_last_bit() -> None:
    found = failing(compared([model(wrong=5)] * MANY, [model(wrong=4)] * MANY))
    assert found["error, erased"] is Finding.ABOVE
    ours = model()
    ours["test"] = np.nextafter(ours["test"], 9)
    found = failing(compared([ours] * MANY, [model()] * MANY))
    assert found == {"activation distance, test": Finding.ABOVE}


def test_with_noise_retraining_is_within_and_a_model_that_knows_is_not() -> None:
    retrained = [model(noise=seed) for seed in range(MANY)]
    seeds = range(MANY, 2 * MANY)
    assert not failing(compared([model(noise=seed) for seed in seeds], retrained))
    knowing = [model(erased=5.0, wrong=0, noise=seed) for seed in seeds]
    found = failing(compared(knowing, retrained))
    assert found["error, erased"] is Finding.BELOW
    assert found["activation distance, erased"] is Finding.ABOVE
    assert found["relearn steps"] is Finding.BELOW


def test_where_nothing_is_promised_nothing_is_refuted() -> None:
    found = compared([model(erased=5.0, wrong=0)] * MANY, [model()] * MANY, mu=np.inf)
    assert not failing(found)
    permitted = found["relearn steps"].to_json()["permitted"]
    assert permitted["low"] is permitted["high"] is None


def as_if_samples_were_independent(ours: float, theirs: NDArray[np.float64]) -> bool:
    """Whether a share of samples is in the hull of the Clopper-Pearson intervals of others."""
    each = [clopper_pearson(round(one * ERRING), ERRING, CONFIDENCE) for one in theirs]
    return min(one.low for one in each) <= ours <= max(one.high for one in each)


def test_retraining_is_refuted_no_more_often_than_stated_though_samples_share_its_noise() -> None:
    """Of samples that a release gets wrong together, if its one noise is large enough."""
    rng = np.random.default_rng(2)
    runs = 500
    most = stats.binom.ppf(0.999, runs, 1 - CONFIDENCE)
    margins = rng.normal(1.5, 0.3, ERRING)
    by_releases = by_samples = 0
    for _ in range(runs):
        wrong = margins < rng.normal(size=(2, MANY, 1))
        ours, theirs = wrong.mean(axis=2)
        made = [[{"error": float(share)} for share in shares] for shares in (ours, theirs)]
        [found] = compare(made[0], made[1], 0.0, CONFIDENCE)
        by_releases += found.finding is not Finding.WITHIN
        by_samples += not as_if_samples_were_independent(ours[0], theirs[:8])
    assert by_releases <= most < by_samples
