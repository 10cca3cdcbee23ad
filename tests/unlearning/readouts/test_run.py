"""The whole of it: what forgets passes, and what does not is found out."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from tests.unlearning.readouts.models import (
    HalfForgetting,
    Noisy,
    NotForgetting,
    OverForgetting,
    digits,
    samples,
)
from unlearning.errors import InvalidInputError
from unlearning.information import InformationBound
from unlearning.readouts.exact import ExactModel
from unlearning.readouts.result import Finding, ReadOuts
from unlearning.readouts.run import read_out
from unlearning.release import NO_LEAKAGE

EXACT = NO_LEAKAGE.bound(1)


def bound(mu: float) -> InformationBound:
    return replace(
        EXACT,
        nats=mu**2 / 2,
        gaussian_dp=mu,
        attack_accuracy=float(ndtr(mu / 2)),
        attack_tpr=float(ndtr(ndtri(0.01) + mu)),
    )


def turned(model: ExactModel, kind: type[ExactModel], **attributes: Any) -> ExactModel:
    """The same rows, forgotten in another way."""
    other = kind(model.objective, model.entries, model.labels, model.is_core)
    for name, value in attributes.items():
        setattr(other, name, value)
    return other


def findings(found: ReadOuts) -> dict[str, Finding]:
    return {one.name: one.finding for one in found.failed}


@pytest.fixture(scope="module")
def exact() -> ExactModel:
    return digits()


@pytest.mark.parametrize("requests", [1, 4])
def test_exact_forgetting_is_retraining_and_every_attack_exactly_at_chance(
    exact: ExactModel, requests: int
) -> None:
    found = read_out(exact, samples(exact, requests), EXACT)
    assert found.passed
    assert (found.erased, found.retained, found.test) == (10, 190, 100)
    assert not found.retained_known
    for one in found.comparisons:
        assert one.measured.value == pytest.approx(one.permitted.value, abs=1e-12)
    for one in found.attacks:
        assert one.measured.value == one.permitted.value
    accuracies = [one for one in found.attacks if "accuracy" in one.name]
    assert {one.measured.value for one in accuracies} == {0.5}
    assert max(one.measured.high for one in accuracies) < 0.52
    distances = [one for one in found.comparisons if "distance" in one.name]
    assert {one.measured.value for one in distances} == {0.0}


def test_a_model_that_did_not_forget_is_found_out_by_every_attack(exact: ExactModel) -> None:
    found = findings(read_out(turned(exact, NotForgetting), samples(exact), EXACT))
    for attack in ("entropy", "LiRA", "U-LiRA"):
        for figure in ("accuracy", "accuracy on the most exposed sample", "accuracy on pairs"):
            assert found[f"{attack}: {figure}"] is Finding.ABOVE
        assert found[f"{attack}: TPR at 1% FPR"] is Finding.ABOVE
    assert found["relearn steps"] is Finding.BELOW
    assert found["activation distance, erased"] is Finding.ABOVE


def test_a_model_that_forgot_half_is_found_out(exact: ExactModel) -> None:
    found = read_out(turned(exact, HalfForgetting), samples(exact), EXACT)
    for attack in ("LiRA: accuracy on pairs", "U-LiRA: accuracy", "U-LiRA: TPR at 1% FPR"):
        assert findings(found)[attack] is Finding.ABOVE
    [accuracy] = [one for one in found.attacks if one.name == "U-LiRA: accuracy"]
    assert accuracy.measured.low > found.attack_accuracy == 0.5


def test_a_model_that_forgot_all_but_one_of_many_is_found_out_by_that_one(
    exact: ExactModel,
) -> None:
    model = turned(exact, NotForgetting, share=0.9)
    found = findings(read_out(model, samples(exact), EXACT))
    assert found["U-LiRA: accuracy on the most exposed sample"] is Finding.ABOVE


def test_a_model_that_forgot_too_much_is_found_out_from_below(exact: ExactModel) -> None:
    found = findings(read_out(turned(exact, OverForgetting), samples(exact), EXACT))
    assert found["entropy: accuracy on pairs"] is Finding.BELOW
    assert found["LiRA: accuracy on pairs"] is Finding.BELOW
    assert found["U-LiRA: accuracy"] is Finding.ABOVE
    assert found["relearn steps"] is Finding.ABOVE


@pytest.mark.parametrize("mu", [0.0, 1.0, 3.0])
def test_noise_that_hides_what_was_claimed_passes(exact: ExactModel, mu: float) -> None:
    found = read_out(turned(exact, Noisy, mu=mu), samples(exact), bound(mu))
    assert found.passed, findings(found)
    assert found.retained_known
    assert found.attack_accuracy == ndtr(mu / 2)


@pytest.mark.parametrize(("mu", "claimed"), [(1.5, 0.0), (4.0, 1.0)])
def test_noise_that_hides_less_than_was_claimed_is_found_out(
    exact: ExactModel, mu: float, claimed: float
) -> None:
    found = read_out(turned(exact, Noisy, mu=mu), samples(exact), bound(claimed))
    assert findings(found)["U-LiRA: accuracy"] is Finding.ABOVE


def test_where_nothing_is_promised_no_attack_refutes_it(exact: ExactModel) -> None:
    nothing = replace(bound(0.0), gaussian_dp=np.inf, attack_accuracy=1.0, attack_tpr=1.0)
    found = read_out(turned(exact, NotForgetting), samples(exact), nothing, pairs=64)
    assert not [one for one in found.attacks if one.finding is not Finding.WITHIN]


def test_a_result_is_json_and_says_what_failed(exact: ExactModel) -> None:
    found = read_out(turned(exact, NotForgetting), samples(exact), EXACT, shadows=16, pairs=32)
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["passed"] is False
    assert told["failed"] == [one.name for one in found.failed]
    assert len(told["comparisons"]) == 10
    assert len(told["attacks"]) == 12
    assert told["attacks"][4]["name"] == "LiRA: accuracy"
    assert told["attacks"][4]["finding"] == "ABOVE"
    assert told["attacks"][4]["measured"]["low"] > told["attack_accuracy"] == 0.5


def test_the_same_seed_gives_the_same_result(exact: ExactModel) -> None:
    model = turned(exact, Noisy, mu=1.0)
    first, again, other = (
        read_out(model, samples(exact), bound(1.0), shadows=8, pairs=16, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(("kind", "models"), [(ExactModel, 60), (Noisy, 186)])
def test_progress_is_told_model_by_model(
    exact: ExactModel, kind: type[ExactModel], models: int
) -> None:
    told: list[tuple[int, int]] = []
    read_out(
        turned(exact, kind),
        samples(exact),
        EXACT,
        shadows=8,
        pairs=16,
        progress=lambda *so_far: told.append(so_far),
    )
    assert told == [(done, models) for done in range(1, models + 1)]


def test_everybody_can_be_erased_where_core_rows_are_left(exact: ExactModel) -> None:
    everybody = replace(samples(exact), requests=(np.arange(20, 200),), user=np.arange(0))
    assert read_out(exact, everybody, EXACT, shadows=4, pairs=8).passed
    found = read_out(turned(exact, NotForgetting), everybody, EXACT, shadows=4, pairs=64)
    assert findings(found)["U-LiRA: accuracy"] is Finding.ABOVE


def test_a_model_of_one_class_is_refused() -> None:
    model = digits(classes=1)
    with pytest.raises(InvalidInputError) as refused:
        read_out(model, samples(model), EXACT)
    assert refused.value.field == "classes"


def test_a_release_answers_for_more_rows_than_it_takes_at_once(exact: ExactModel) -> None:
    rows = np.random.default_rng(0).integers(0, 300, 2500)
    released = exact.train(np.arange(200), 0)
    each = released(np.arange(300))
    assert released(rows) == pytest.approx(each[rows], abs=1e-5)
