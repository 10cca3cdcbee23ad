"""Perturbed weights, against the dense covariance that they should have."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest

from unlearning.errors import InvalidInputError, NotSolvableError
from unlearning.inverse import Inverse
from unlearning.noise import Source, grid
from unlearning.objective import Noise, Objective
from unlearning.perturbation import (
    MASK,
    RELATIVE_ERROR,
    perturb_features,
    perturb_tangent,
)
from unlearning.rounding import solve
from unlearning.statistics import Statistics

Floats = NDArray[np.float64]

SIGMA = 0.02


def seeded(seed: int) -> Source:
    return np.random.default_rng(seed).bytes


def whitened(drawn: Floats, C: Floats) -> Floats:
    """Rows of ``drawn`` (n, p), to be N(0, C), as what is to be standard Gaussian."""
    return np.asarray(np.linalg.solve(np.linalg.cholesky(C), drawn.T))


def check_is_standard(X: Floats) -> None:
    """X (p, n): each is, and no two go together."""
    p, n = X.shape
    assert kstest(X.ravel(), "norm").pvalue > 1e-3
    off = X @ X.T / n - np.eye(p)
    assert np.abs(off).max() < 5 * sqrt(2 / n)


@dataclass
class Features:
    """A solved FEATURES model of real rows psi (n, d) and its parts."""

    objective: Objective
    statistics: Statistics
    weights: NDArray[np.int64]
    H: Floats


@pytest.fixture(scope="module")
def features() -> Features:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(200, 6)) * np.geomspace(1, 0.05, 6) @ rng.normal(size=(6, 6)) / 2
    objective = Objective.create("0f" * 32, "pooled", 6, 4.0, 0.5, 15.0, ("a", "b", "c"))
    psi = objective.features.round(real).astype(np.int16)
    statistics = Statistics.empty(objective)
    statistics.add(psi, objective.targets(rng.integers(0, 3, 200)))
    weights = solve(statistics, Inverse(statistics)).weights
    rounded = psi * objective.features.step
    H = rounded.T @ rounded + objective.ridge_in_real_units * np.eye(6)
    return Features(objective, statistics, weights, H)


@pytest.mark.parametrize("noise", list(Noise))
def test_features_get_the_noise_of_the_dense_covariance(features: Features, noise: Noise) -> None:
    W, source = features.objective.weights(features.weights), seeded(1)
    drawn = np.array(
        [
            perturb_features(
                features.objective, features.statistics, features.weights, noise, SIGMA, source
            )
            for _ in range(3000)
        ]
    )
    assert drawn.shape == (3000, 6, 3)
    away = (drawn - W).transpose(0, 2, 1).reshape(-1, 6)  # outputs are independent
    if noise == Noise.ISOTROPIC:
        C = SIGMA**2 * np.eye(6)
    else:
        mask = MASK**2 / np.trace(features.H)
        C = SIGMA**2 * (np.linalg.inv(features.H) + mask * np.eye(6))
    check_is_standard(whitened(away, C))
    joint = (drawn - W).reshape(3000, 18)
    check_is_standard(whitened(joint, np.kron(C, np.eye(3))))


def test_features_released_lie_on_the_grid_of_the_last_noise(features: Features) -> None:
    parts = (features.objective, features.statistics, features.weights)
    isotropic = perturb_features(*parts, Noise.ISOTROPIC, SIGMA, seeded(0))
    assert (isotropic % grid(SIGMA) == 0).all()
    masked = perturb_features(*parts, Noise.INVERSE_HESSIAN, SIGMA, seeded(0))
    step = grid(MASK * SIGMA / sqrt(np.trace(features.H)))
    assert (masked % step == 0).all()
    assert not (masked % (2 * step) == 0).all()


@pytest.mark.parametrize("noise", list(Noise))
def test_the_noise_of_features_depends_on_what_remains_alone(
    features: Features, noise: Noise
) -> None:
    """Rows that came and went leave no bit, given the same random bytes."""
    other = features.statistics.copy()
    psi = np.random.default_rng(3).integers(-9000, 9000, (40, 6)).astype(np.int16)
    t = features.objective.targets(np.zeros(40, np.int64))
    other.add(psi, t)
    other.subtract(psi, t)
    one, another = (
        perturb_features(features.objective, held, features.weights, noise, SIGMA, seeded(7))
        for held in (features.statistics, other)
    )
    assert one.tobytes() == another.tobytes()


def test_features_refuse_a_scale_too_small_and_a_matrix_not_definite(features: Features) -> None:
    for noise in Noise:
        with pytest.raises(InvalidInputError, match="noise_scale"):
            perturb_features(
                features.objective, features.statistics, features.weights, noise, 1e-15
            )
    broken = features.statistics.copy()
    broken.ridge = -broken.ridge << 40
    with pytest.raises(NotSolvableError):
        perturb_features(features.objective, broken, features.weights, Noise.INVERSE_HESSIAN, SIGMA)


class Dense:
    """J, shape (n C, p)."""

    def __init__(self, J: Floats, outputs: int) -> None:
        self.J, self.outputs, self.rows = J, outputs, len(J) // outputs

    def rmatvec(self, u: Floats) -> Floats:
        assert u.shape == (self.rows, self.outputs)
        return np.asarray(self.J.T @ u.ravel())


@dataclass(frozen=True)
class DenseHessian:
    """H = J'J + lam I."""

    jacobian: Dense
    ridge: float

    def times(self, v: Floats) -> Floats:
        J = self.jacobian.J
        return np.asarray(J.T @ (J @ v) + self.ridge * v)


@pytest.fixture(scope="module")
def hessian() -> DenseHessian:
    rng = np.random.default_rng(0)
    J = rng.normal(size=(20, 7)) * np.geomspace(2, 0.05, 7)
    return DenseHessian(Dense(J, 4), 0.4)


@pytest.mark.parametrize("noise", list(Noise))
def test_tangent_gets_the_noise_of_the_dense_covariance(
    hessian: DenseHessian, noise: Noise
) -> None:
    w, source = np.random.default_rng(1).normal(size=7), seeded(2)
    found = [perturb_tangent(w, lambda: hessian, noise, SIGMA, source) for _ in range(1500)]
    away = np.array([one.weights for one in found]) - w
    H = hessian.times(np.eye(7))
    if noise == Noise.ISOTROPIC:
        assert {(one.relative_error, one.rounding_shift) for one in found} == {(0.0, 0.0)}
        check_is_standard(whitened(away, SIGMA**2 * np.eye(7)))
        return
    assert all(0 < one.relative_error <= RELATIVE_ERROR for one in found)
    assert all(0 < one.rounding_shift < 1e-8 for one in found)
    X = whitened(away, SIGMA**2 * np.linalg.inv(H))
    spread = X @ X.T / X.shape[1]
    most = (1 + RELATIVE_ERROR) ** 2 + MASK**2
    ratios = np.linalg.eigvalsh(spread)
    assert ratios.min() > (1 - RELATIVE_ERROR) ** 2 - 0.2
    assert ratios.max() < most + 0.2
    assert spread.trace() / 7 == pytest.approx(1, abs=0.08)


def test_tangent_noise_in_float32_owns_up_to_its_errors(hessian: DenseHessian) -> None:
    class Rough(DenseHessian):
        def times(self, v: Floats) -> Floats:
            return super().times(v).astype(np.float32).astype(np.float64)

    rough = Rough(hessian.jacobian, hessian.ridge)
    w = np.zeros(7)
    precise, coarse = (
        perturb_tangent(w, lambda H=H: H, Noise.INVERSE_HESSIAN, SIGMA, seeded(3))
        for H in (hessian, rough)
    )
    assert coarse.rounding_shift > 1e-6 > 100 * precise.rounding_shift


def test_tangent_refuses_a_scale_too_small(hessian: DenseHessian) -> None:
    for noise in Noise:
        with pytest.raises(InvalidInputError, match="noise_scale"):
            perturb_tangent(np.ones(7), lambda: hessian, noise, 1e-15)
