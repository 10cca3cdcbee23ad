"""Forgetting against a model that never saw the forgotten rows."""

from collections.abc import Callable
from copy import deepcopy
from threading import Event
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from numpy.typing import NDArray

from tests.unlearning.population import Population
from unlearning import commitment, forgetting, gram
from unlearning.errors import CapacityError, InconsistentStateError, NotSolvableError
from unlearning.forgetting import Method, MixedPrivacyModel
from unlearning.gram import GramMatrix
from unlearning.inverse import Inverse
from unlearning.objective import Objective
from unlearning.reference import rounded_solution
from unlearning.statistics import Statistics

Make = Callable[..., Objective]
Row = tuple[tuple[int, ...], int]

D, CLASSES, SALT = 3, 2, bytes(range(32))
FEATURE = 2**14
ENTRIES = st.one_of(st.integers(-FEATURE, FEATURE), st.sampled_from([0, 1, FEATURE]))
ROWS = st.lists(
    st.tuples(st.tuples(*[ENTRIES] * D), st.integers(0, CLASSES - 1)), min_size=1, max_size=4
)


def arrays(rows: list[Row]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    psi = np.array([psi for psi, _ in rows], np.int64).reshape(-1, D)
    return psi, np.array([label for _, label in rows], np.int64)


def fresh(objective: Objective, core: list[Row], user: list[Row]) -> MixedPrivacyModel:
    model = MixedPrivacyModel(objective)
    model.add(*arrays(core + user), np.arange(len(core) + len(user)) < len(core))
    return model


def released(model: MixedPrivacyModel) -> tuple[Any, ...]:
    """Everything a release tells, to the last bit."""
    solution = model.solve()
    return (
        solution.weights.tobytes(),
        solution.residual.tobytes(),
        model.core_solution().weights.tobytes(),
        model.state_commitment(SALT),
    )


@pytest.fixture
def data() -> tuple[list[Row], list[Row]]:
    rng = np.random.default_rng(2)
    rows = [
        (tuple(int(p) for p in rng.integers(-FEATURE, FEATURE, D)), int(rng.integers(CLASSES)))
        for _ in range(30)
    ]
    return rows[:10], rows[10:]


def test_the_methods_are_named_as_on_the_wire() -> None:
    assert list(Method) == ["EXACT", "NEWTON", "ZERO"]


def test_erasing_everyone_by_exact_is_zero_to_the_last_bit(
    objective_of: Make, data: tuple[list[Row], list[Row]]
) -> None:
    core, user = data
    exact, zero = (fresh(objective_of(D, CLASSES), core, user) for _ in range(2))
    for row in user:
        exact.erase(*arrays([row]))
    zero.erase_all_user_rows()
    assert released(exact) == released(zero) == released(fresh(exact.objective, core, []))
    assert zero.solve() is zero.core_solution()  # ZERO has nothing to solve


def test_added_and_erased_is_never_added(
    objective_of: Make, data: tuple[list[Row], list[Row]]
) -> None:
    core, user = data
    model = fresh(objective_of(D, CLASSES), core, user[:5])
    before = released(model)
    model.add(*arrays(user[5:]), np.zeros(15, bool))
    assert released(model) != before
    model.erase(*arrays(user[5:]))
    assert released(model) == before == released(fresh(model.objective, core, user[:5]))


def test_the_order_of_rows_and_erasures_does_not_matter(
    objective_of: Make, data: tuple[list[Row], list[Row]]
) -> None:
    core, user = data
    one, other = (
        MixedPrivacyModel(objective_of(D, CLASSES)),
        fresh(objective_of(D, CLASSES), [], []),
    )
    one.add(*arrays(user), np.zeros(20, bool))
    one.add(*arrays(core), np.ones(10, bool))
    for erased in (user[12:], user[:4]):
        one.erase(*arrays(erased))
    for i, row in enumerate(reversed(core + user)):
        other.add(*arrays([row]), np.array([i >= 20]))
    for row in user[:4] + user[12:]:
        other.erase(*arrays([row]))
    assert released(one) == released(other) == released(fresh(one.objective, core, user[4:12]))


def test_without_core_rows_zero_leaves_no_weights(
    objective_of: Make, data: tuple[list[Row], list[Row]]
) -> None:
    model = fresh(objective_of(D, CLASSES), [], data[1])
    assert model.solve().weights.any()
    model.erase_all_user_rows()
    assert not model.solve().weights.any()
    assert released(model) == released(MixedPrivacyModel(model.objective))


def test_user_rows_added_after_zero_leave_the_core_rows_alone(
    objective_of: Make, data: tuple[list[Row], list[Row]]
) -> None:
    core, user = data
    model = fresh(objective_of(D, CLASSES), core, user)
    model.erase_all_user_rows()
    model.add(*arrays(user[:3]), np.zeros(3, bool))
    assert released(model) == released(fresh(model.objective, core, user[:3]))


def test_core_rows_added_later_change_the_kept_core_solution(
    objective_of: Make, data: tuple[list[Row], list[Row]]
) -> None:
    core, user = data
    model = fresh(objective_of(D, CLASSES), core[:5], user)
    model.core_solution()
    model.add(*arrays(core[5:]), np.ones(5, bool))
    assert released(model) == released(fresh(model.objective, core, user))


def test_rows_beyond_capacity_change_nothing(
    objective_of: Make, data: tuple[list[Row], list[Row]]
) -> None:
    model = fresh(objective_of(D, CLASSES, ridge=2.0**-27), *data)
    before = released(model)
    psi, labels = np.full((6000, D), FEATURE), np.zeros(6000, np.int64)
    with pytest.raises(CapacityError) as refused:
        model.add(psi, labels, np.ones(6000, bool))
    assert 0 < refused.value.fits < 6000
    with pytest.raises(CapacityError):
        model.check_capacity(psi, labels)
    assert released(model) == before
    fits = refused.value.fits
    model.add(psi[:fits], labels[:fits], np.ones(fits, bool))


@pytest.fixture(scope="session")
def histories(objective_of: Make) -> type[RuleBasedStateMachine]:
    """Any history of rows that come and go, next to the rows that are there."""

    class Histories(RuleBasedStateMachine):
        @initialize(ridge=st.sampled_from([2.0**-20, 1.0, 2.0**20]))
        def start(self, ridge: float) -> None:
            self.model = MixedPrivacyModel(objective_of(D, CLASSES, ridge=ridge))
            self.core: list[Row] = []
            self.user: list[Row] = []

        @rule(rows=ROWS, core=st.lists(st.booleans(), min_size=4, max_size=4))
        def add(self, rows: list[Row], core: list[bool]) -> None:
            is_core = np.array(core[: len(rows)])
            self.model.add(*arrays(rows), is_core)
            for row, keeps in zip(rows, is_core, strict=True):
                (self.core if keeps else self.user).append(row)

        @rule(choice=st.sets(st.integers(0, 7)))
        def erase(self, choice: set[int]) -> None:
            self.model.erase(*arrays([row for i, row in enumerate(self.user) if i in choice]))
            self.user = [row for i, row in enumerate(self.user) if i not in choice]

        @rule()
        def erase_all(self) -> None:
            self.model.erase_all_user_rows()
            self.user = []

        @invariant()
        def nothing_else_is_left(self) -> None:
            objective = self.model.objective
            expected = fresh(objective, self.core, self.user)
            assert self.model.state_commitment(SALT) == expected.state_commitment(SALT)
            for rows, solution in (
                (self.core + self.user, self.model.solve()),
                (self.core, self.model.core_solution()),
            ):
                psi, labels = arrays(rows)
                truth = rounded_solution(psi, objective.targets(labels), objective.ridge)
                assert solution.weights.tolist() == truth.tolist()

    return Histories


def test_after_any_history_the_model_is_that_of_the_rows_that_remain(
    histories: type[RuleBasedStateMachine],
) -> None:
    machine = histories.TestCase
    machine.settings = settings(max_examples=40, stateful_step_count=8)
    machine().runTest()


@pytest.mark.parametrize("steps", [[1] * 70, [7, 1, 30, 2, 1], [20, 1, 1, 40, 1]])
def test_forgetting_from_what_is_kept_gives_the_bits_of_a_model_solved_anew(
    objective_of: Make, steps: list[int]
) -> None:
    """Rows go one by one, in groups, and so many at once that nothing kept is of use."""
    rng = np.random.default_rng(3)
    objective = objective_of(width=90, classes=3, ridge=0.01)
    psi = rng.integers(-FEATURE, FEATURE, (400, 90)).astype(np.int16)
    labels, is_core = rng.integers(0, 3, 400), np.arange(400) >= 380
    model = MixedPrivacyModel(objective)
    model.add(psi, labels, is_core)
    model.solve()
    for k in steps:
        model.erase(psi[:k], labels[:k])
        psi, labels, is_core = psi[k:], labels[k:], is_core[k:]
        kept = model.solve()
    anew = MixedPrivacyModel(objective)
    anew.add(psi, labels, is_core)
    solved = anew.solve()
    assert (kept.weights == solved.weights).all()
    assert (kept.residual == solved.residual).all()
    assert kept.report(objective) == solved.report(objective)


@pytest.mark.parametrize("largest", [2**11, FEATURE])
@pytest.mark.parametrize(("at_once", "factored_anew"), [(1, []), (22, []), (23, [377, 354, 331])])
def test_forgetting_a_few_rows_factors_nothing(
    objective_of: Make,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
    factored_anew: list[int],
    largest: int,
) -> None:
    """More than a quarter of the width would cost more to follow."""
    factored = []

    class Counted(Inverse):
        def __init__(self, statistics: Statistics) -> None:
            factored.append(statistics.n)
            super().__init__(statistics)

    monkeypatch.setattr(forgetting, "Inverse", Counted)
    rng = np.random.default_rng(4)
    objective = objective_of(width=90, classes=3, ridge=1.0)
    psi = rng.integers(-largest, largest, (400, 90)).astype(np.int16)
    labels = rng.integers(0, 3, 400)
    model = MixedPrivacyModel(objective)
    model.add(psi, labels, np.zeros(400, np.bool_))
    model.solve()
    for i in range(50 if at_once == 1 else 3):
        gone = slice(i * at_once, (i + 1) * at_once)
        model.erase(psi[gone], labels[gone])
        model.solve()
    assert factored == [400, *factored_anew]


def test_what_is_kept_is_given_up_where_it_has_drifted_too_far(objective_of: Make) -> None:
    rng = np.random.default_rng(5)
    objective = objective_of(width=20, classes=2, ridge=0.001)
    psi = rng.integers(-FEATURE, FEATURE, (50, 20)).astype(np.int16)
    labels = rng.integers(0, 2, 50)
    model = MixedPrivacyModel(objective)
    model.add(psi, labels, np.zeros(50, np.bool_))
    expected = model.solve()
    model._inverse = Inverse(Statistics.empty(objective))
    assert (model.solve().weights == expected.weights).all()


def test_rows_whose_leaving_moves_the_residual_beyond_62_bits_leave_all_the_same(
    objective_of: Make,
) -> None:
    """Their targets are the largest, and so large a ridge leaves them far from fitted."""
    objective = objective_of(width=2, classes=2, ridge=2.0**22, label_scale=64.0)
    psi = np.array([[FEATURE, FEATURE], [FEATURE, -5], [3, FEATURE], [-FEATURE, 8]], np.int16)
    labels = np.array([0, 1, 1, 0])
    model = MixedPrivacyModel(objective)
    model.add(psi, labels, np.zeros(4, bool))
    model.solve()
    assert abs(2 * FEATURE * objective.label_scale) << 30 >= 2**62
    for left in (3, 2, 1):
        model.erase(psi[left:][:1], labels[left:][:1])
        solution = model.solve()
        model.maintain()
        truth = rounded_solution(psi[:left], objective.targets(labels[:left]), objective.ridge)
        assert solution.weights.tolist() == truth.tolist()
        anew = MixedPrivacyModel(objective)
        anew.add(psi[:left], labels[:left], np.zeros(left, bool))
        assert (solution.residual == anew.solve().residual).all()


@pytest.fixture
def rows(objective_of: Make) -> Population:
    held = Population(objective_of(width=30, classes=3), 400, seed=6, core=10)
    held.add(np.arange(400))
    held.model.solve()
    return held


@pytest.mark.parametrize("by", [1, -1])
@pytest.mark.parametrize("at", [(0, 0), (17, 1), (29, 2)])
def test_a_residual_that_has_come_to_be_wrong_is_found_within_32_solves(
    rows: Population, at: tuple[int, int], by: int
) -> None:
    def erase_some(k: int) -> None:
        for _ in range(k):
            rows.erase(rows.some(1))
            rows.model.solve()
            rows.model.maintain()

    erase_some(40)
    assert rows.model._carried is not None
    rows.model._carried.residual[at] += by
    with pytest.raises(InconsistentStateError):
        erase_some(32)


def test_an_inverse_that_has_drifted_is_factored_anew_by_maintenance(rows: Population) -> None:
    assert rows.model._inverse is not None
    rows.model._inverse._P *= 0.97
    for _ in range(2):  # until it is maintained
        rows.erase(rows.some(1))
        assert rows.model.solve().steps > 3
    rows.model.maintain()
    rows.erase(rows.some(1))
    assert rows.model.solve().steps <= 2
    rows.compare()


@pytest.mark.parametrize("drift", [1.9, 2.0**20])
def test_a_row_that_the_inverse_cannot_follow_leaves_all_the_same(
    objective_of: Make, drift: float
) -> None:
    """Even where what is kept is good enough to go on from as if the row were still there."""
    rows = Population(objective_of(width=30, classes=3, ridge=2 / 3), 400, seed=7)
    rows.psi[:, 0] = 0
    rows.psi[11] = 0
    rows.psi[11, 0] = FEATURE  # alone with the first feature, it is 3/5 of A there
    rows.add(np.arange(400))
    rows.model.solve()
    assert rows.model._inverse is not None
    rows.model._inverse._P[0, 0] *= drift
    with pytest.raises(NotSolvableError):
        deepcopy(rows.model._inverse).remove(rows.psi[11:12].astype(float), np.zeros((1, 3)))
    rows.erase([11])
    rows.compare()


def test_rows_that_leave_before_others_come_are_not_followed_twice(
    objective_of: Make,
) -> None:
    rows = Population(objective_of(width=30, classes=3), 400, seed=8)
    rows.add(np.arange(390))
    rows.model.solve()
    rows.erase([3])
    rows.add(np.arange(390, 400))
    for _ in range(2):
        rows.compare()
        rows.erase(rows.some(1))
    rows.compare()


def test_maintenance_of_what_was_never_solved_does_nothing(objective_of: Make) -> None:
    model = MixedPrivacyModel(objective_of())
    model.maintain()
    model.add(np.array([[1, 2, 3]]), np.array([0]), np.zeros(1, bool))
    model.maintain()
    assert model._inverse is None


def test_maintenance_after_zero_finds_nothing_wrong(
    rows: Population, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "_SOLVES_A_CHECK", 1)
    rows.model.maintain()
    rows.model.erase_all_user_rows()
    rows.held &= rows.is_core
    rows.model.maintain()
    rows.compare()
    rows.model.maintain()


def test_maintenance_between_an_erasure_and_its_solve_changes_no_bit(rows: Population) -> None:
    for _ in range(40):
        rows.erase(rows.some(1))
        rows.model.maintain()
    rows.compare()


def test_hashing_beside_a_solve_gives_the_commitment_of_what_was_there_when_it_began(
    rows: Population, monkeypatch: pytest.MonkeyPatch
) -> None:
    solved = Event()
    leaf = commitment._triangle_leaf

    def after_the_solve(G: GramMatrix, start: int) -> bytes:
        assert solved.wait(60)
        return leaf(G, start)

    for _ in range(3):
        rows.erase(rows.some(1))
        expected = rows.fresh().state_commitment(SALT)
        with monkeypatch.context() as patch:
            patch.setattr(commitment, "_triangle_leaf", after_the_solve)
            solved.clear()
            commit = rows.model.begin_commitment()
            rows.model.solve()
            solved.set()
            assert commit(SALT) == expected
        assert rows.model.state_commitment(SALT) == expected


def test_a_commitment_that_was_begun_can_be_made_under_any_number_of_salts(
    rows: Population,
) -> None:
    commit = rows.model.begin_commitment()
    for salt in (SALT, bytes(32), SALT):
        assert commit(salt) == rows.fresh().state_commitment(salt)


def test_no_limb_is_written_while_it_is_hashed(
    rows: Population, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G is split before hashing begins, or where it was split before, left as it is."""
    monkeypatch.setattr(gram, "_LARGEST_NORM", 2**24)
    settled = []
    settle = GramMatrix.settle

    def watched(G: GramMatrix) -> None:
        settled.append(G)
        settle(G)

    monkeypatch.setattr(GramMatrix, "settle", watched)
    G = rows.model.everything.G
    for _ in range(3):
        rows.erase(rows.some(1))
        commit = rows.model.begin_commitment()
        assert G in settled
        settled.clear()
        rows.model.solve()
        assert G not in settled
        assert len(G.limbs()) == 2
        assert commit(SALT) == rows.fresh().state_commitment(SALT)
