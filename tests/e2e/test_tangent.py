"""TANGENT models and noise through the whole service, on real images."""

import io
from collections.abc import Callable, Iterator, Sequence
from math import isinf
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from click.testing import CliRunner
from grpc import StatusCode
from PIL import Image
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from unlearn.v1.erasure_pb2 import Erasure
from unlearn.v1.model_pb2 import (
    CreateReleaseRequest,
    Release,
    Sample,
    UserWeights,
)
from unlearn.v1.valuation_pb2 import EstimateErrorRequest
from unlearn_client import Selection, UnlearnError
from unlearn_server.cli import main as server_command
from unlearn_server.experiment import Experiment, carry_out
from unlearning import cg
from unlearning.replay.command import main as replay_command

DIGITS = 4
PIXELS, LABELS = load_digits(n_class=DIGITS, return_X_y=True)
TEST = range(200, 220)
USERS, CORES = range(8, 48), range(8)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Products are small here: threads would only wait for each other."""
    with threadpool_limits(1):
        yield


def png(i: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray((PIXELS[i].reshape(8, 8) * 15.9).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def sample(i: int) -> Sample:
    """Of CORE, or one of two of a person's."""
    is_core = i in CORES
    return Sample(
        sample_id=f"s{i}",
        subject_id="" if is_core else f"p{i // 2}",
        image=png(i),
        label=int(LABELS[i]),
        retention=Sample.CORE if is_core else Sample.USER,
    )


def create(server: Any, rows: Sequence[int], **weights: Any) -> str:
    """A model of these rows, released."""
    model_id = f"m-{uuid4().hex[:12]}"
    weights = {"parametrization": UserWeights.TANGENT, "ridge": 100.0, **weights}
    classes = [str(digit) for digit in range(DIGITS)]
    server.client.create_model(
        model_id, "efficientnet-lite0", classes, user_weights=UserWeights(**weights)
    )
    server.client.add_samples(model_id, map(sample, rows))
    assert server.client.create_release(model_id).state == Release.SERVING
    return model_id


def erase(server: Any, model_id: str, selection: Any, **fields: Any) -> Any:
    """The one outcome of an erasure."""
    accepted = server.client.create_erasure(selection, models=[model_id], **fields)
    erasure = server.client.wait_for_erasure(accepted.name)
    assert erasure.state == Erasure.SUCCEEDED, erasure.state_reason
    return erasure.outcomes[0]


def logits(server: Any, model_id: str) -> Any:
    images = [png(i) for i in (*CORES, *USERS, *TEST)]
    return server.client.predict(model_id, images=images).logits.astype(float)


EVERYBODY = (*CORES, *USERS)


def test_newton_leaves_what_a_fresh_model_answers(server: Any) -> None:
    model_id = create(server, EVERYBODY)
    described = server.client.get_model(model_id).user_weights
    assert described.parametrization == UserWeights.TANGENT
    assert described.tangent_scope == "head"
    before = logits(server, model_id)
    truth = [int(LABELS[i]) for i in TEST]
    assert (before[-len(TEST) :].argmax(axis=1) == truth).mean() > 0.6
    outcome = erase(server, model_id, Selection.subjects(["p4", "p10"]))
    assert (outcome.method, outcome.erased_samples) == (Erasure.NEWTON, 4)
    assert outcome.solve.solver == "conjugate-gradient"
    assert not outcome.solve.correctly_rounded
    fresh = create(server, [i for i in EVERYBODY if i not in {8, 9, 20, 21}])
    ours, theirs = logits(server, model_id), logits(server, fresh)
    assert np.abs(ours - theirs).max() < 0.05 * np.abs(before - theirs).max()
    audit = server.client.audit_model(model_id)
    assert audit.consistent
    assert audit.weights_commitment_served == audit.weights_commitment_recomputed == b""
    assert audit.samples == len(EVERYBODY) - 4


def test_what_its_samples_are_worth_has_no_closed_form(server: Any, refusal: Any) -> None:
    model_id = create(server, EVERYBODY)
    request = EstimateErrorRequest(model=f"models/{model_id}")
    told = refusal(server.valuation.EstimateError, request)
    assert (told.code, told.field) == (StatusCode.UNIMPLEMENTED, "model")
    assert "TANGENT, whose held-out errors have no closed form" in told.message


def test_without_noise_newton_promises_nothing_and_says_which_noise_would_help(
    server: Any,
) -> None:
    model_id = create(server, EVERYBODY)
    bound = erase(server, model_id, Selection.samples(["s8"])).bound
    assert isinf(bound.nats)
    assert (bound.attack_accuracy, bound.cohort) == (1, 1)
    assert any("noise_scale" in words and "0.1 nats" in words for words in bound.assumptions)


@pytest.mark.parametrize("noise", [UserWeights.ISOTROPIC, UserWeights.INVERSE_HESSIAN])
def test_noise_hides_what_newton_left(server: Any, noise: Any) -> None:
    model_id = create(server, EVERYBODY, noise_scale=0.003, noise=noise)
    first = erase(server, model_id, Selection.subjects(["p4"]))
    second = erase(server, model_id, Selection.subjects(["p5"]))
    for outcome in (first, second):
        mu = outcome.bound.gaussian_dp
        assert 0 < mu < 1
        assert outcome.bound.nats == pytest.approx(mu**2 / 2)
        assert 0.5 < outcome.bound.attack_accuracy < 0.7
    # What the first left of p4 is still in the second.
    assert second.bound.gaussian_dp > first.bound.gaussian_dp
    assert isinf(second.bound.differencing_gaussian_dp) == (noise == UserWeights.INVERSE_HESSIAN)
    assert server.client.audit_model(model_id).consistent


def test_no_read_out_refutes_the_bound(server: Any) -> None:
    model_id = create(server, EVERYBODY, noise_scale=0.003)
    found = carry_out(
        server.data_dir, None, None, Experiment(model_id, ("p4",), shadows=3, pairs=8)
    )
    assert found.retained_known
    assert 0.5 < found.attack_accuracy < 0.7
    assert found.passed, found.failed


def test_noise_on_features_leaves_nothing_to_tell_and_bounds_who_holds_the_release_before(
    server: Any,
) -> None:
    features = {"parametrization": UserWeights.FEATURES, "feature_map": "head:1x1"}
    model_id = create(server, EVERYBODY, noise_scale=0.01, **features)
    plain = create(server, EVERYBODY, **features)
    assert np.abs(logits(server, model_id) - logits(server, plain)).max() > 1e-3
    outcome = erase(server, model_id, Selection.subjects(["p4"]))
    assert (outcome.method, outcome.bound.nats) == (Erasure.EXACT, 0)
    assert 0 < outcome.bound.differencing_gaussian_dp < 1e6
    assert not outcome.solve.correctly_rounded
    audit = server.client.audit_model(model_id)
    assert audit.consistent
    assert not audit.weights_commitment_served


def test_a_solve_that_does_not_converge_releases_nothing_and_waits_for_its_operator(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = create(server, EVERYBODY)
    release = server.client.get_model(model_id).release
    before = logits(server, model_id)
    with monkeypatch.context() as patch:
        patch.setattr(cg, "MOST_ITERATIONS", 3)
        accepted = server.client.create_erasure(Selection.subjects(["p4"]), models=[model_id])
        stuck = server.client.wait_for_erasure(accepted.name)
        assert stuck.state == Erasure.NEEDS_OPERATOR
        assert "residual is" in stuck.state_reason
        assert server.client.create_release(model_id).state == Release.FAILED
    model = server.client.get_model(model_id)
    assert (model.release, model.sample_count) == (release, len(EVERYBODY))
    assert (logits(server, model_id) == before).all()
    server.client.retry_erasure(accepted.name)
    assert server.client.wait_for_erasure(accepted.name).state == Erasure.SUCCEEDED
    assert server.client.audit_model(model_id).consistent


def test_zero_leaves_the_core_samples_alone(server: Any) -> None:
    model_id, fresh = create(server, EVERYBODY), create(server, list(CORES))
    outcome = erase(server, model_id, Selection.all_user_data(), method=Erasure.ZERO)
    assert (outcome.method, outcome.bound.nats) == (Erasure.ZERO, 0)
    assert outcome.solve.solver == "core"
    assert outcome.erased_samples == len(USERS)
    assert (logits(server, model_id) == logits(server, fresh)).all()
    assert server.client.audit_model(model_id).consistent


def test_the_method_is_that_of_each_model(server: Any) -> None:
    tangent = create(server, EVERYBODY)
    exact = create(server, EVERYBODY, parametrization=UserWeights.FEATURES)
    for model_id, method in ((tangent, Erasure.EXACT), (exact, Erasure.NEWTON)):
        with pytest.raises(UnlearnError) as refused:
            server.client.create_erasure(
                Selection.subjects(["p6"]), models=[model_id], method=method
            )
        assert refused.value.reason == "METHOD_NOT_APPLICABLE"
    accepted = server.client.create_erasure(Selection.subjects(["p6"]), models=[tangent, exact])
    erasure = server.client.wait_for_erasure(accepted.name)
    methods = {outcome.model: outcome.method for outcome in erasure.outcomes}
    assert methods == {f"models/{tangent}": Erasure.NEWTON, f"models/{exact}": Erasure.EXACT}


def begin(server: Any, **weights: Any) -> CreateReleaseRequest:
    """Asks for a release that takes some seconds to solve for."""
    classes = [str(digit) for digit in range(DIGITS)]
    weights = {"parametrization": UserWeights.TANGENT, "tangent_scope": "last:3", **weights}
    server.client.create_model(
        "m", "efficientnet-lite0", classes, user_weights=UserWeights(**weights)
    )
    server.client.add_samples("m", map(sample, EVERYBODY))
    request = CreateReleaseRequest(model="models/m", request_id=str(uuid4()))
    assert server.models.CreateRelease(request).state == Release.SOLVING
    return request


def test_a_solve_outlives_the_server_and_only_one_is_begun(
    start: Callable[..., Any], wait_until: Any, refusal: Callable[..., Any]
) -> None:
    process = start()
    with process.asked() as server:
        request = begin(server, ridge=0.001)
        wait_until(lambda: '"solving"' in process.said)
        assert server.models.CreateRelease(request).name == "models/m/releases/1"
        other = CreateReleaseRequest(model="models/m", request_id=str(uuid4()))
        assert refusal(server.models.CreateRelease, other).reason == "RELEASE_SOLVING"
    assert process.terminate() == 0
    assert "a solve is left" in process.said
    process = start()
    with process.asked() as server:
        assert server.client.get_release("models/m/releases/1").state == Release.SOLVING
        wait_until(lambda: '"solving"' in process.said)


def test_a_request_can_be_withdrawn_while_it_is_solved_for(
    start: Callable[..., Any], wait_until: Any
) -> None:
    process = start()
    with process.asked() as server:
        begin(server, ridge=0.1)
        wait_until(lambda: server.client.get_model("m").release)
        accepted = server.client.create_erasure(Selection.subjects(["p4"]), models=["m"])
        wait_until(lambda: "solving" in server.client.get_erasure(accepted.name).state_reason)
        assert server.client.cancel_erasure(accepted.name).state == Erasure.CANCELLED
        wait_until(lambda: "was withdrawn" in process.said)
        model = server.client.get_model("m")
        assert (model.release, model.sample_count) == ("models/m/releases/1", len(EVERYBODY))


def test_a_solve_does_not_outrun_a_hold(start: Callable[..., Any], wait_until: Any) -> None:
    process = start()
    with process.asked() as server:
        begin(server, ridge=0.1)
        wait_until(lambda: server.client.get_model("m").release)
        accepted = server.client.create_erasure(Selection.subjects(["p4"]), models=["m"])
        wait_until(lambda: "solving" in server.client.get_erasure(accepted.name).state_reason)
        server.client.place_hold("p4", "a lawsuit")
        assert server.client.get_erasure(accepted.name).state == Erasure.HELD
        wait_until(lambda: "withdrawn or held" in process.said)
        model = server.client.get_model("m")
        assert (model.release, model.sample_count) == ("models/m/releases/1", len(EVERYBODY))
        assert server.client.get_erasure(accepted.name).state == Erasure.HELD


def test_the_rows_that_remain_are_replayed(server: Any, tmp_path: Path) -> None:
    model_id = create(server, [*CORES, *USERS])
    certificate = erase(server, model_id, Selection.subjects([f"p{USERS[0] // 2}"])).certificate
    (tmp_path / "c.json").write_bytes(server.client.get_certificate(certificate).envelope)
    words = ["export", model_id, "--data-dir", str(server.data_dir), "--out", f"{tmp_path}/m.npz"]
    assert CliRunner().invoke(server_command, words).exit_code == 0
    words = [f"{tmp_path}/m.npz", "--certificate", f"{tmp_path}/c.json"]
    done = CliRunner().invoke(replay_command, words)
    assert done.exit_code == 0, done.output
    assert "not recomputed" in done.output
