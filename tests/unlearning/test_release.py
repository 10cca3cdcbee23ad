"""Releases and what they tell, against optima and gradients computed from dense matrices."""

from collections.abc import Callable
from dataclasses import replace
from math import hypot, inf, isinf
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unlearning.dense_network import network, samples
from tests.unlearning.population import Population
from unlearning.magnitude import at_least
from unlearning.newton import TangentModel
from unlearning.objective import Noise, Objective
from unlearning.reference import dense, ridge_solution
from unlearning.release import NO_LEAKAGE, Release

Make = Callable[..., Objective]

SIGMA = 0.05


class Tangent:
    """A TANGENT model of 60 rows, some of CORE, and its dense optimum."""

    def __init__(self, objective_of: Make, core: int = 10, **noise: Any) -> None:
        self.objective = objective_of(20, 3, ridge=0.02, tangent_scope="head", **noise)
        self.psi, self.labels = samples(self.objective, 60, 0.5, seed=1)
        self.net = network(self.objective, 40, seed=2)
        self.is_core = np.arange(60) < core
        self.held = np.ones(60, bool)
        self.model = self.fresh()

    def fresh(self) -> TangentModel:
        model = TangentModel(self.objective, self.net)
        model.add(self.psi[self.held], self.labels[self.held], self.is_core[self.held])
        return model

    def erase(self, *rows: int) -> Release:
        self.model.erase(self.psi[list(rows)], self.labels[list(rows)])
        self.held[list(rows)] = False
        return self.model.release()

    def optimum(self) -> NDArray[np.float64]:
        J = dense(self.net.jacobian(self.psi[self.held], double=True))
        t = 15 * np.eye(3)[self.labels[self.held]].ravel()
        return ridge_solution(J.reshape(len(t), -1), t, self.objective.ridge_in_real_units)


def test_a_cold_release_tells_nothing_and_mu_grows_over_those_that_descend_from_it(
    objective_of: Make,
) -> None:
    rows = Tangent(objective_of, noise_scale=SIGMA)
    assert rows.model.release().leakage.gaussian_dp == 0
    lam, mus = rows.objective.ridge_in_real_units, []
    for row in (20, 30, 40):
        release = rows.erase(row)
        mus.append(release.report.gradient_norm / (lam * SIGMA))
        assert release.leakage.gaussian_dp == pytest.approx(hypot(*mus), rel=1e-6)
        unperturbed = rows.model._lineage.weights
        assert unperturbed is not None
        shift = np.linalg.norm(unperturbed - rows.optimum()) / SIGMA
        assert 0 < shift <= mus[-1]
    assert rows.fresh().release().leakage.gaussian_dp == 0  # as after a restart


@pytest.mark.parametrize("noise", Noise)
def test_released_weights_are_noise_away_from_the_optimum(objective_of: Make, noise: Noise) -> None:
    rows = Tangent(objective_of, noise_scale=SIGMA, noise=noise)
    hessian = rows.model.hessian()
    H = np.stack([hessian.times(column) for column in np.eye(40)])
    root = np.eye(40) if noise == Noise.ISOTROPIC else np.linalg.cholesky(H).T
    scaled = []
    for _ in range(40):
        weights = rows.objective.weights(rows.model.release().weights)
        scaled.append(root @ (weights - rows.optimum()) / SIGMA)
    assert np.mean(scaled) == pytest.approx(0, abs=0.1)
    assert np.std(scaled) == pytest.approx(1, abs=0.1)  # of 1,600 numbers


def test_what_is_told_of_newton_does_not_tell_which_row_was_erased(objective_of: Make) -> None:
    """Ten candidates, of which any may have been there, next to the same rest."""
    rows, told = Tangent(objective_of, noise_scale=SIGMA), set()
    for candidate in range(50, 60):
        rows.held = np.arange(60) < 50
        rows.held[candidate] = True
        rows.model = rows.fresh()
        rows.model.release()
        release = rows.erase(candidate)
        bound = replace(release.leakage.bound(1), differencing_gaussian_dp=0.0)
        told.add((release.report, bound))
    assert len(told) == 1


def test_what_is_told_of_exact_does_not_tell_which_row_is_held(objective_of: Make) -> None:
    rows, told = Population(objective_of(width=30, classes=3), 200, seed=9), set()
    for candidate in range(190, 200):
        rows.held = np.arange(200) < 190
        rows.held[candidate] = True
        release = rows.fresh().release()
        told.add((release.report, release.leakage.bound(1)))
    assert len(told) == 1


def test_without_noise_a_descendant_promises_nothing(objective_of: Make) -> None:
    rows = Tangent(objective_of)
    assert rows.model.release().leakage.gaussian_dp == 0
    leakage = rows.erase(20).leakage
    assert isinf(leakage.gaussian_dp)
    assert leakage.bound(1).attack_accuracy == 1
    assert "noise_scale" in leakage.assumptions[-1]


def test_the_core_rows_alone_are_solved_for_from_nothing(objective_of: Make) -> None:
    rows = Tangent(objective_of, noise_scale=SIGMA)
    rows.model.release()
    rows.erase(20)
    rows.model.erase_all_user_rows()
    release = rows.model.release()
    assert release.report.solver == "core"
    assert release.leakage.gaussian_dp == 0


def test_differencing_is_the_distance_of_what_was_released_before_noise(
    objective_of: Make,
) -> None:
    objective = objective_of(width=30, classes=3, noise_scale=SIGMA)
    rows = Population(objective, 200, seed=9)
    rows.add(np.arange(200))
    assert isinf(rows.model.release().leakage.differencing_gaussian_dp)
    before = objective.weights(rows.fresh().solve().weights)
    rows.erase([1, 2])
    leakage = rows.model.release().leakage
    after = objective.weights(rows.fresh().solve().weights)
    expected = np.linalg.norm(before - after) / SIGMA
    assert expected <= leakage.differencing_gaussian_dp < 10 * expected
    assert at_least(leakage.differencing_gaussian_dp) == leakage.differencing_gaussian_dp
    assert leakage.gaussian_dp == 0
    assert leakage.bound(2).nats == 0


def test_exact_without_noise_is_the_optimum_itself(objective_of: Make) -> None:
    rows = Population(objective_of(width=30, classes=3), 200, seed=9)
    rows.add(np.arange(200))
    release = rows.model.release()
    assert (release.weights == rows.fresh().solve().weights).all()
    assert release.leakage == NO_LEAKAGE
    assert release.report.correctly_rounded


@pytest.mark.parametrize("noise", Noise)
@pytest.mark.parametrize("tangent", [False, True])
def test_weights_of_these_rows_are_told_from_others(
    objective_of: Make, tangent: bool, noise: Noise
) -> None:
    own: Any
    if tangent:
        own = Tangent(objective_of, noise_scale=1e-4, noise=noise)
    else:
        objective = objective_of(width=30, classes=3, noise_scale=1e-4, noise=noise)
        own = Population(objective, 200, seed=9)
        own.add(np.arange(200))
    release = own.model.release()
    weights = own.model.objective.weights(release.weights)
    assert own.fresh().is_near(weights, release.report)
    assert not own.fresh().is_near(1.01 * weights, release.report)
    own.erase(20) if tangent else own.erase([20])
    assert not own.fresh().is_near(weights, release.report)
    certain = replace(release.report, gradient_norm=inf)
    assert own.fresh().is_near(weights, certain)
