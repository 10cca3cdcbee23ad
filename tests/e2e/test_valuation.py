"""What samples are worth and what erasures would do, against refits of a model's rows."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest

from tests.e2e.conftest import CLASSES, Filled, MakeSample, Refusal, Server
from tests.e2e.truth import Truth
from unlearn.v1 import valuation_pb2
from unlearn.v1.erasure_pb2 import Erasure, PreviewErasureRequest, PreviewErasureResponse
from unlearn.v1.erasure_pb2 import Selection as SelectionMessage
from unlearn.v1.model_pb2 import Sample
from unlearn.v1.valuation_pb2 import (
    OBJECTIVE_CORE_VALIDATION,
    OBJECTIVE_LEAVE_ONE_OUT,
    OBJECTIVE_LEAVE_SUBJECT_OUT,
    Derivative,
    DifferentiateDatasetRequest,
    EstimateErrorRequest,
    EstimateErrorResponse,
)
from unlearn_client import Selection
from unlearn_server import rows
from unlearning.dataset_derivative import leave_out_derivatives

Floats = np.ndarray[Any, np.dtype[np.float64]]
Refuse = Callable[..., Refusal]
STEP = 1e-30


class Refits:
    """The model's held-out errors by refitting, for weights a that may be complex."""

    def __init__(self, server: Server, model_id: str, samples: Sequence[Sample]) -> None:
        truth = Truth(server.client.get_model(model_id))
        self.psi = truth.psi([sample.features.values for sample in samples]) * truth.step
        self.labels = [sample.label for sample in samples]
        self.t = truth.alpha * 2.0**-12 * np.eye(len(CLASSES))[self.labels]
        self.ridge = truth.ridge / 2 * truth.step**2
        self.subjects = [sample.subject_id or sample.sample_id for sample in samples]
        self.is_core = np.array([sample.retention == Sample.CORE for sample in samples])

    def residuals(self, objective: int, a: Floats | None = None) -> Floats:
        """Of the samples that the objective is on."""
        a = np.ones(len(self.t)) if a is None else a
        if objective == OBJECTIVE_CORE_VALIDATION:
            return self._fitted(a)[self.is_core]
        groups = np.arange(len(a)) if objective == OBJECTIVE_LEAVE_ONE_OUT else self.subjects
        out = [np.array(groups) == group for group in groups]
        return np.array([self._fitted(a * ~gone)[i] for i, gone in enumerate(out)])

    def derivatives(self, objective: int, a: Floats | None = None) -> Floats:
        """By a complex step."""
        steps = (1 if a is None else a) + 1j * STEP * np.eye(len(self.t))
        return np.array([(self.residuals(objective, a) ** 2).sum().imag / STEP for a in steps])

    def _fitted(self, a: Floats) -> Floats:
        weighted = self.psi.T * a
        A = weighted @ self.psi + self.ridge * np.eye(self.psi.shape[1])
        return self.t - self.psi @ np.linalg.solve(A, weighted @ self.t)


@pytest.fixture
def samples(make_sample: MakeSample) -> list[Sample]:
    """Of six people three each, and four that are CORE."""
    users = [make_sample(f"u{i}", f"person-{i % 6}") for i in range(18)]
    return [*users, *(make_sample(f"c{i}") for i in range(4))]


def estimate(server: Server, model_id: str, objective: int = 0) -> EstimateErrorResponse:
    request = EstimateErrorRequest(model=f"models/{model_id}", objective=objective)  # type: ignore[arg-type]
    return server.valuation.EstimateError(request)


def derivatives(server: Server, model_id: str, **asked: Any) -> list[Derivative]:
    request = DifferentiateDatasetRequest(model=f"models/{model_id}", **asked)
    return list(server.valuation.DifferentiateDataset(request))


def preview(
    server: Server, model_id: str, selection: SelectionMessage, **asked: Any
) -> PreviewErasureResponse:
    request = PreviewErasureRequest(model=f"models/{model_id}", selection=selection, **asked)
    return server.erasures.PreviewErasure(request)


@pytest.mark.parametrize("objective", valuation_pb2.Objective.values())
def test_the_error_is_that_of_refits(
    server: Server, filled: Filled, samples: list[Sample], objective: int
) -> None:
    model_id = filled(samples)
    refits = Refits(server, model_id, samples)
    told = estimate(server, model_id, objective)
    r = refits.residuals(objective or OBJECTIVE_LEAVE_ONE_OUT)
    on = refits.is_core if objective == OBJECTIVE_CORE_VALIDATION else np.ones(len(samples), bool)
    right = (refits.t[on] - r).argmax(axis=1) == np.array(refits.labels)[on]
    assert told.error == pytest.approx(np.square(r).sum(axis=1).mean(), rel=1e-9)
    assert told.accuracy == right.mean()
    assert told.samples == on.sum()


def test_the_error_under_another_ridge_is_that_of_a_model_with_it(
    server: Server, filled: Filled, samples: list[Sample], refusal: Refuse
) -> None:
    model_id = filled(samples)
    refits = Refits(server, model_id, samples)
    refits.ridge = 250.0
    r = refits.residuals(OBJECTIVE_LEAVE_ONE_OUT)
    told = server.client.estimate_error(model_id, ridge=250.0)
    assert told.error == pytest.approx(np.square(r).sum(axis=1).mean(), rel=1e-6)
    assert estimate(server, model_id).error != told.error
    for ridge in (-1.0, 1e300, float("nan")):
        request = EstimateErrorRequest(model=f"models/{model_id}", ridge=ridge)
        refused = refusal(server.valuation.EstimateError, request)
        assert (refused.reason, refused.field) == ("INVALID_FIELD", "ridge")


@pytest.mark.parametrize("objective", valuation_pb2.Objective.values())
def test_derivatives_are_those_of_refits_most_harmful_first(
    server: Server,
    filled: Filled,
    samples: list[Sample],
    objective: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = []

    def unseal(stored: Sequence[Any], *keys: Any) -> Any:
        opened.append(len(stored))
        return rows.unseal(stored, *keys)

    small = SimpleNamespace(ROWS_AT_ONCE=5, unseal=unseal)  # blocks end between groups
    monkeypatch.setattr("unlearn_server.moment.rows", small)
    model_id = filled(samples)
    refits = Refits(server, model_id, samples)
    ids = [sample.sample_id for sample in samples]
    kind = objective or OBJECTIVE_LEAVE_ONE_OUT
    expected = dict(zip(ids, refits.derivatives(kind), strict=True))
    left_out = OBJECTIVE_LEAVE_ONE_OUT if kind == OBJECTIVE_CORE_VALIDATION else kind
    errors = np.square(refits.residuals(left_out)).sum(axis=1)
    told = derivatives(server, model_id, objective=objective)

    assert max(opened) <= 5 + 2

    values = {each.id: each.derivative for each in told}
    assert values == {own: pytest.approx(value, rel=1e-8) for own, value in expected.items()}
    held_out = {each.id: each.held_out_error for each in told}
    assert held_out == dict(zip(ids, map(pytest.approx, errors), strict=True))
    assert {each.id for each in told if each.core} == {"c0", "c1", "c2", "c3"}
    assert [each.derivative for each in told] == sorted(values.values(), reverse=True)
    assert derivatives(server, model_id, objective=objective, limit=3) == told[:3]


@pytest.mark.parametrize("objective", [OBJECTIVE_LEAVE_SUBJECT_OUT, OBJECTIVE_CORE_VALIDATION])
def test_weights_are_proposed_down_the_gradient_taken_anew_at_each_step(
    server: Server, filled: Filled, samples: list[Sample], objective: int
) -> None:
    model_id = filled(samples)
    refits = Refits(server, model_id, samples)
    refits.ridge = ridge = 2.5
    a, first = np.ones(len(samples)), refits.derivatives(objective)
    for steps in range(4):
        told = {
            each.id: each
            for each in derivatives(server, model_id, objective=objective, ridge=ridge, steps=steps)
        }
        found = [told[sample.sample_id] for sample in samples]
        near = pytest.approx(list(first), rel=1e-6, abs=1e-8 * np.abs(first).max())
        assert [each.derivative for each in found] == near
        assert [each.proposed_weight for each in found] == pytest.approx(list(a), rel=1e-6)
        slope = refits.derivatives(objective, a)
        a = np.maximum(a - 0.1 * slope / np.abs(slope).max(), 0)


def test_a_subject_is_worth_its_samples_and_named_as_erasures_name_it(
    server: Server, filled: Filled, samples: list[Sample]
) -> None:
    model_id = filled(samples)
    each = {value.id: value for value in derivatives(server, model_id)}
    told = derivatives(server, model_id, by_subject=True)
    sums = sorted(
        (
            sum(each[f"u{i}"].derivative for i in range(person, 18, 6)),
            sum(each[f"u{i}"].held_out_error for i in range(person, 18, 6)),
        )
        for person in range(6)
    )
    assert sorted((v.derivative, v.held_out_error) for v in told) == [
        (pytest.approx(a), pytest.approx(b)) for a, b in sums
    ]
    erasure = server.client.create_erasure(Selection.subject_hashes([told[0].id]), [model_id])
    done = server.client.wait_for_erasure(erasure.name)
    assert [outcome.erased_samples for outcome in done.outcomes] == [3]
    assert told[0].id not in {value.id for value in derivatives(server, model_id, by_subject=True)}


SELECTIONS = {
    "nobody": Selection.subjects(["stranger"]),
    "a sample": Selection.samples(["u3"]),
    "two people": Selection.subjects(["person-0", "person-4"]),
    "everyone": Selection.all_user_data(),
}


@pytest.mark.parametrize("who", SELECTIONS)
def test_a_preview_is_what_is_measured_afterwards(
    server: Server, filled: Filled, samples: list[Sample], who: str
) -> None:
    model_id, selection = filled(samples), SELECTIONS[who]
    before, etag = estimate(server, model_id), server.client.get_model(model_id).etag
    refits = Refits(server, model_id, samples)
    told = preview(server, model_id, selection)
    assert server.client.get_model(model_id).etag == etag
    assert estimate(server, model_id) == before

    erasure = server.client.create_erasure(selection, [model_id])
    done = server.client.wait_for_erasure(erasure.name)
    after = estimate(server, model_id)
    assert told.samples == done.outcomes[0].erased_samples
    assert (told.error_before, told.accuracy_before) == (before.error, before.accuracy)
    assert (told.error_after, told.accuracy_after) == (after.error, after.accuracy)

    left = {value.id for value in derivatives(server, model_id)}
    stay = np.array([sample.sample_id in left for sample in samples])
    moved = refits.psi[stay] @ (weights(refits, stay) - weights(refits, stay | True))
    assert told.prediction_shift == pytest.approx(np.sqrt(np.square(moved).mean()), abs=1e-12)


def weights(refits: Refits, stay: Floats) -> Floats:
    psi, t = refits.psi[stay], refits.t[stay]
    A = psi.T @ psi + refits.ridge * np.eye(psi.shape[1])
    return np.asarray(np.linalg.solve(A, psi.T @ t))


def labelled(sample_id: str, subject_id: str, label: int, make_sample: MakeSample) -> Sample:
    sample = make_sample(sample_id, subject_id)
    sample.label = label
    return sample


def test_a_preview_tells_what_becomes_scarce_and_whose_erasure_would_make_more_so(
    server: Server, filled: Filled, make_sample: MakeSample
) -> None:
    whose = {"ann": [0, 0, 1], "bob": [0, 0, 1], "eve": [0, 2, 2], "sue": [0, 1], "max": [0]}
    model_id = filled(
        labelled(f"{name}-{i}", name, label, make_sample)
        for name, labels in whose.items()
        for i, label in enumerate(labels)
    )
    told = preview(server, model_id, Selection.subjects(["ann"]), minimum_class_samples=2)
    assert not told.scarce_classes  # left are 5 of class 0, 2 of class 1 and 2 of class 2
    erased = {name: critical(server, model_id, name) for name in ("bob", "eve", "sue")}
    assert set(told.critical_subjects) == set().union(*erased.values())
    told = preview(server, model_id, Selection.subjects(["eve"]), minimum_class_samples=2)
    [scarce] = told.scarce_classes
    assert (scarce.label, scarce.samples_before, scarce.samples_after) == (CLASSES[2], 2, 0)
    assert not told.critical_subjects  # left are 6 of class 0 and 3 of class 1


def critical(server: Server, model_id: str, name: str) -> set[str]:
    """The hash of a subject, found as that of whom nobody else's erasure leaves."""
    hashes = {value.id for value in derivatives(server, model_id, by_subject=True)}
    samples = {
        subject: preview(server, model_id, Selection.subject_hashes([subject])).error_after
        for subject in hashes
    }
    own = preview(server, model_id, Selection.subjects([name])).error_after
    return {subject for subject, error in samples.items() if error == own}


def test_values_that_an_erased_sample_had_part_in_are_not_told(
    server: Server,
    filled: Filled,
    samples: list[Sample],
    refusal: Refuse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model_id = filled(samples)

    def erase_first(*asked: Any) -> Any:
        erasure = server.client.create_erasure(Selection.samples(["u0"]), [model_id])
        server.client.wait_for_erasure(erasure.name)
        return leave_out_derivatives(*asked)

    monkeypatch.setattr("unlearn_server.valuing.leave_out_derivatives", erase_first)
    request = DifferentiateDatasetRequest(model=f"models/{model_id}")
    told = refusal(server.valuation.DifferentiateDataset, request)
    assert (told.code, told.reason) == (grpc.StatusCode.ABORTED, "MODEL_CHANGED")
    monkeypatch.undo()
    assert "u0" not in {value.id for value in derivatives(server, model_id)}


def test_one_is_computed_at_a_time(
    server: Server,
    filled: Filled,
    samples: list[Sample],
    refusal: Refuse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model_id = filled(samples)
    request = EstimateErrorRequest(model=f"models/{model_id}")
    told = []

    def ask_another(*asked: Any) -> Any:
        told.append(refusal(server.valuation.EstimateError, request))
        return leave_out_derivatives(*asked)

    monkeypatch.setattr("unlearn_server.valuing.leave_out_derivatives", ask_another)
    assert derivatives(server, model_id)
    assert told[0].reason == "OVERLOADED"
    server.valuation.EstimateError(request)


def test_where_nothing_would_be_left_there_is_no_error(
    server: Server, filled: Filled, make_sample: MakeSample
) -> None:
    model_id = filled([make_sample("1", "ann")])
    alone = estimate(server, model_id)
    assert alone.error == pytest.approx(15.0**2)  # a fit of no samples predicts 0
    [value] = derivatives(server, model_id)
    assert value.derivative == pytest.approx(0.0, abs=1e-9)
    told = preview(server, model_id, Selection.subjects(["ann"]))
    assert np.isnan([told.error_after, told.accuracy_after]).all()
    assert told.prediction_shift == 0


def test_what_cannot_be_answered_is_refused_with_what_to_do(
    server: Server, filled: Filled, make_sample: MakeSample, refusal: Refuse
) -> None:
    user, core = make_sample("u", "ann"), make_sample("c")
    model_id, mixed = filled([user]), filled([user, core])
    empty = filled([], release=False)
    estimate, differentiate = server.valuation.EstimateError, server.valuation.DifferentiateDataset
    look = server.erasures.PreviewErasure
    core_only = Selection.samples(["c"])
    for method, request, reason, field, words in (
        (estimate, EstimateErrorRequest(model=f"models/{empty}"), "NO_SAMPLES", "model", "add"),
        (
            estimate,
            EstimateErrorRequest(model=f"models/{model_id}", objective=OBJECTIVE_CORE_VALIDATION),
            *("NO_SAMPLES", "objective", "CORE"),
        ),
        (
            differentiate,
            DifferentiateDatasetRequest(
                model=f"models/{model_id}", objective=OBJECTIVE_CORE_VALIDATION
            ),
            *("NO_SAMPLES", "objective", "CORE"),
        ),
        (
            differentiate,
            DifferentiateDatasetRequest(model=f"models/{model_id}", limit=-1),
            *("INVALID_FIELD", "limit", "negative"),
        ),
        (
            differentiate,
            DifferentiateDatasetRequest(model=f"models/{model_id}", ridge=-1.0),
            *("INVALID_FIELD", "ridge", "out of range"),
        ),
        (
            differentiate,
            DifferentiateDatasetRequest(model=f"models/{model_id}", steps=-1),
            *("INVALID_FIELD", "steps", "negative"),
        ),
        (
            differentiate,
            DifferentiateDatasetRequest(model=f"models/{model_id}", steps=4),
            *("INVALID_FIELD", "steps", "at most 3"),
        ),
        (
            differentiate,
            DifferentiateDatasetRequest(model=f"models/{model_id}", steps=1, by_subject=True),
            *("INVALID_FIELD", "steps", "by_subject"),
        ),
        (
            estimate,
            EstimateErrorRequest(model=f"models/{model_id}", objective=9),  # type: ignore[arg-type]
            *("INVALID_FIELD", "objective", "9"),
        ),
        (estimate, EstimateErrorRequest(model="models/nobody"), "MODEL_NOT_FOUND", "", "model"),
        (
            look,
            PreviewErasureRequest(model=f"models/{mixed}", selection=core_only),
            *("CORE_SAMPLE", "selection", "CORE"),
        ),
        (
            look,
            PreviewErasureRequest(model=f"models/{mixed}"),
            *("EMPTY_SELECTION", "selection", "selection"),
        ),
        (
            look,
            PreviewErasureRequest(
                model=f"models/{mixed}",
                selection=Selection.subjects(["ann"]),
                minimum_class_samples=-1,
            ),
            *("INVALID_FIELD", "minimum_class_samples", "negative"),
        ),
        (
            look,
            PreviewErasureRequest(
                model=f"models/{mixed}",
                selection=Selection.subjects(["ann"]),
                method=Erasure.NEWTON,
            ),
            *("METHOD_NOT_APPLICABLE", "method", "EXACT"),
        ),
    ):
        told = refusal(method, request)
        assert told.reason == reason, request
        assert words in told.message
        assert field in {told.field, ""} or told.field == field
        assert "ann" not in told.everything
