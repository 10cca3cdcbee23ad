"""Models on a core with a head of its own: f = f_c + W' psi, or f_c + J w."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unlearning import tiny_network
from unlearning.forgetting import MixedPrivacyModel
from unlearning.lattice import LOGITS, TARGETS
from unlearning.newton import TangentModel
from unlearning.objective import Objective
from unlearning.reference import rounded_solution

Make = Callable[..., Objective]
Entries = NDArray[np.int16]
Labels = NDArray[np.int64]

D, CLASSES = 4, 3
LIMIT = 2**15 - 1
SALT = b"s" * 32


def drawn(n: int, seed: int) -> tuple[Entries, Labels]:
    """Stored rows of any magnitude."""
    random = np.random.default_rng(seed)
    psi = random.integers(-(2**14), 2**14, (n, D), np.int16, endpoint=True)
    f_c = random.integers(-LIMIT, LIMIT, (n, CLASSES), np.int16, endpoint=True)
    return np.hstack([psi, f_c]), random.integers(0, CLASSES, n)


def holding(objective: Objective, entries: Entries, labels: Labels, core: int) -> MixedPrivacyModel:
    """A model of these rows, of which the first are CORE."""
    model = MixedPrivacyModel(objective)
    model.add(entries, labels, np.arange(len(labels)) < core)
    return model


def goals(entries: Entries, labels: Labels) -> NDArray[np.int64]:
    """15 onehot(y) - f_c in units of 2^-12, of logits in units of 2^-9."""
    return 15 * 2**12 * np.eye(CLASSES, dtype=np.int64)[labels] - 8 * entries[:, D:].astype(int)


@given(st.integers(1, 12), st.integers(0, 3), st.data())
@settings(max_examples=40)
def test_what_is_left_is_what_was_never_more_to_the_last_bit(
    objective_of: Make, n: int, core: int, data: st.DataObject
) -> None:
    objective = objective_of(D, CLASSES, has_head=True)
    entries, labels = drawn(n + core, data.draw(st.integers(0, 2**32 - 1)))
    goes = np.zeros(n + core, np.bool_)
    goes[core:] = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    model = holding(objective, entries, labels, core)
    model.release()
    model.erase(entries[goes], labels[goes])
    left, of = entries[~goes], labels[~goes]
    never = holding(objective, left, of, core)
    weights = model.release().weights
    assert model.state_commitment(SALT) == never.state_commitment(SALT)
    assert (weights == never.release().weights).all()
    truth = rounded_solution(left[:, :D].astype(np.int64), goals(left, of), objective.ridge)
    assert (weights == truth).all()


def test_zero_leaves_what_the_core_itself_answers(objective_of: Make) -> None:
    objective = objective_of(D, CLASSES, has_head=True)
    entries, labels = drawn(9, 1)
    model = holding(objective, entries, labels, 0)
    assert model.release().weights.any()
    model.erase_all_user_rows()
    weights = objective.weights(model.release().weights)
    f_c = entries[:, D:] * np.float32(2.0**-9)
    assert (objective.logits(entries, weights) == f_c).all()
    assert (objective.f(entries, 0.0) == f_c).all()


def test_user_weights_learn_what_the_core_leaves_undone(objective_of: Make) -> None:
    """Where the head is right already there is nothing to learn."""
    objective = objective_of(D, CLASSES, has_head=True)
    entries, labels = drawn(20, 2)
    entries[:, D:] = 15 * 2**9 * np.eye(CLASSES, dtype=np.int16)[labels]
    assert not holding(objective, entries, labels, 0).release().weights.any()


def test_outputs_of_a_core_are_stored_on_lattices(objective_of: Make) -> None:
    objective = objective_of(2, 3, has_head=True)
    outputs = np.array([[0.25, 1, 2.0**-9 * 1.4, -63.5, 1e9], [-9, 1, 0, 2.0**-9, -1e9]])
    stored = objective.stored(outputs.astype(np.float32))
    assert stored.dtype == np.int16
    assert stored.tolist() == [
        [2**12, 2**14, 1, -63.5 * 2**9, LIMIT],
        [-(2**14), 2**14, 0, 1, -LIMIT],
    ]
    assert objective.f_c(stored).tolist() == (8 * stored[:, 2:].astype(int)).tolist()
    assert LOGITS.step == 8 * TARGETS.step


def test_without_a_head_rows_and_description_are_what_they_were(objective_of: Make) -> None:
    objective, headed = objective_of(D, CLASSES), objective_of(D, CLASSES, has_head=True)
    assert "has_head" not in objective.to_json()
    assert headed.to_json() == {**objective.to_json(), "has_head": True}
    assert Objective.from_json(headed.to_json()) == headed
    assert (objective.row_width, headed.row_width) == (D, D + CLASSES)
    assert (objective.head, headed.head) == ((), headed.classes)
    entries, labels = drawn(5, 3)
    psi, t = objective.fitted(entries[:, :D], labels)
    assert (psi == entries[:, :D]).all()
    assert (t == objective.targets(labels)).all()


def test_targets_stay_within_a_constant(objective_of: Make) -> None:
    objective = objective_of(1, 1, has_head=True, label_scale=64.0)
    _, t = objective.fitted(np.array([[1, -LIMIT]], np.int16), [0])
    assert t.tolist() == [[64 * 2**12 + 8 * LIMIT]]
    assert t[0, 0] * TARGETS.step < 128


class TestTangent:
    @pytest.fixture
    def rows(self) -> tuple[Entries, Labels]:
        psi = tiny_network.rows(7, seed=5)
        random = np.random.default_rng(6)
        f_c = random.integers(-9000, 9000, (7, tiny_network.CLASSES), np.int16)
        return np.hstack([psi, f_c]), random.integers(0, tiny_network.CLASSES, 7)

    def model(self, objective_of: Make, **values: Any) -> TangentModel:
        objective = objective_of(
            tiny_network.WIDTH, tiny_network.CLASSES, tangent_scope="head", has_head=True, **values
        )
        return TangentModel(objective, tiny_network.linearization())

    def test_solves_for_what_the_core_leaves_undone(
        self, objective_of: Make, rows: tuple[Entries, Labels]
    ) -> None:
        entries, labels = rows
        model = self.model(objective_of)
        model.add(entries, labels, np.zeros(7, np.bool_))
        J = tiny_network.dense(entries[:, : tiny_network.WIDTH])
        J = J.reshape(-1, J.shape[-1])
        f_c = entries[:, tiny_network.WIDTH :] * 2.0**-9
        t = 15 * np.eye(tiny_network.CLASSES)[labels] - f_c
        lam = model.objective.ridge_in_real_units
        truth = np.linalg.solve(J.T @ J + lam * np.eye(J.shape[1]), J.T @ t.ravel())
        solution = model.solve()
        error = np.linalg.norm(solution.weights - truth)
        assert error <= solution.report(model.objective).distance_bound + 1e-9

    def test_rows_leave_with_their_logits(
        self, objective_of: Make, rows: tuple[Entries, Labels]
    ) -> None:
        entries, labels = rows
        model, never = self.model(objective_of), self.model(objective_of)
        model.add(entries, labels, np.zeros(7, np.bool_))
        model.erase(entries[4:], labels[4:])
        never.add(entries[:4], labels[:4], np.zeros(4, np.bool_))
        assert model.state_commitment(SALT) == never.state_commitment(SALT)
        other = entries[:4].copy()
        other[0, -1] += 1
        never.erase_all_user_rows()
        never.add(other, labels[:4], np.zeros(4, np.bool_))
        assert model.state_commitment(SALT) != never.state_commitment(SALT)
