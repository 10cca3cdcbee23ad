"""What noise gives and costs, on dense problems solved and perturbed in full."""

from math import inf, nan, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from unlearning.calibration import (
    differencing_shift,
    excess_loss,
    rounding_shift,
    scale_for,
    shift,
)
from unlearning.gaussian_dp import nats
from unlearning.objective import Noise

Floats = NDArray[np.float64]

LAM, SIGMA = 0.3, 0.01
KINDS = list(Noise)


@pytest.fixture(scope="module", params=range(3))
def problem(request: pytest.FixtureRequest) -> tuple[Floats, Floats]:
    """H and a gradient left over, the last time along the direction of least curvature."""
    rng = np.random.default_rng(request.param)
    psi = rng.normal(size=(30, 12)) * np.geomspace(1, 1e-3, 12)
    H = psi.T @ psi + LAM * np.eye(12)
    if request.param == 2:
        return H, 1e-3 * np.linalg.eigh(H)[1][:, 0]
    return H, 1e-3 * rng.normal(size=12)


def covariance(noise: Noise, H: Floats) -> Floats:
    return np.eye(len(H)) if noise == Noise.ISOTROPIC else np.linalg.inv(H)


@pytest.mark.parametrize("noise", KINDS)
def test_the_shift_is_at_most_what_is_told_and_can_be_that(
    problem: tuple[Floats, Floats], noise: Noise
) -> None:
    H, g = problem
    away = np.linalg.solve(H, g)
    truth = sqrt(away @ np.linalg.solve(SIGMA**2 * covariance(noise, H), away))
    told = shift(noise, float(np.linalg.norm(g)), LAM, SIGMA)
    assert truth <= told * (1 + 1e-12)
    slack = LAM / np.linalg.eigvalsh(H)[0]
    if np.allclose(H @ g, g / slack * LAM):
        assert truth >= told * slack * (1 - 1e-9)


@pytest.mark.parametrize("noise", KINDS)
def test_noise_costs_what_is_told(problem: tuple[Floats, Floats], noise: Noise) -> None:
    H, _ = problem
    C = covariance(noise, H)
    drawn = SIGMA * np.random.default_rng(1).multivariate_normal(np.zeros(len(H)), C, 100_000)
    excess = np.einsum("ni,ij,nj->n", drawn, H, drawn).mean() / 2  # the optimum is at 0
    trace = float(np.trace(H)) if noise == Noise.ISOTROPIC else len(H)
    assert excess_loss(SIGMA, trace) == pytest.approx(excess, rel=0.02)


@pytest.mark.parametrize("noise", KINDS)
@pytest.mark.parametrize("relative_error", [0.0, 0.25])
def test_the_scale_that_is_wanted_gives_what_was_wanted(
    noise: Noise, relative_error: float
) -> None:
    mu = sqrt(2 * 0.1)
    scale = scale_for(mu, noise, 1e-3, LAM, relative_error)
    given = shift(noise, 1e-3, LAM, scale, relative_error)
    assert nats(given) == pytest.approx(0.1, rel=1e-10)


def test_an_error_of_the_noise_divides_by_what_is_left_of_it() -> None:
    known = shift(Noise.INVERSE_HESSIAN, 1e-3, LAM, SIGMA)
    assert shift(Noise.INVERSE_HESSIAN, 1e-3, LAM, SIGMA, 0.2) == pytest.approx(known / 0.8)
    assert shift(Noise.ISOTROPIC, 1e-3, LAM, SIGMA, 0.2) == shift(Noise.ISOTROPIC, 1e-3, LAM, SIGMA)


@pytest.mark.parametrize("noise", KINDS)
@pytest.mark.parametrize(
    ("gradient_norm", "scale", "relative_error", "mu"),
    [
        (0.0, 1.0, 0.0, 0.0),
        (0.0, 0.0, 0.0, 0.0),
        (1.0, 0.0, 0.0, inf),
        (1.0, nan, 0.0, inf),
        (nan, 1.0, 0.0, inf),
        (inf, 1.0, 0.0, inf),
        (-1.0, 1.0, 0.0, inf),
    ],
)
def test_nothing_left_nothing_told_and_what_is_no_number_tells_all(
    noise: Noise, gradient_norm: float, scale: float, relative_error: float, mu: float
) -> None:
    assert shift(noise, gradient_norm, LAM, scale, relative_error) == mu


@pytest.mark.parametrize("relative_error", [1.0, 1.5, nan])
def test_noise_that_is_not_known_protects_nothing(relative_error: float) -> None:
    assert shift(Noise.INVERSE_HESSIAN, 1.0, LAM, SIGMA, relative_error) == inf


def test_bounds_do_not_underflow() -> None:
    assert shift(Noise.ISOTROPIC, 5e-324, 1e300, 1e300) > 0
    assert shift(Noise.ISOTROPIC, 1e300, 1e200, 1e200) >= 1e-100
    assert excess_loss(1e-200, 1.0) > 0
    assert excess_loss(0.0, 1.0) == 0


def test_differencing_compares_both_releases_with_what_would_have_been() -> None:
    w = np.random.default_rng(0).normal(size=(3, 5))  # before, after, and retrained
    told = differencing_shift(
        Noise.ISOTROPIC,
        float(np.linalg.norm(w[0] - w[1])),
        SIGMA,
        float(np.linalg.norm(w[1] - w[2])) / SIGMA,
    )
    away = np.concatenate([w[0] - w[2], w[1] - w[2]]) / SIGMA
    assert float(np.linalg.norm(away)) <= told
    in_line = differencing_shift(Noise.ISOTROPIC, 2 * SIGMA, SIGMA, 1.0)
    assert in_line == pytest.approx(sqrt(3**2 + 1**2), rel=1e-10)
    exact = differencing_shift(Noise.ISOTROPIC, 0.5, SIGMA)
    assert exact == pytest.approx(0.5 / SIGMA, rel=1e-10)


@pytest.mark.parametrize(
    ("noise", "distance", "scale", "mu"),
    [
        (Noise.INVERSE_HESSIAN, 0.5, SIGMA, inf),
        (Noise.INVERSE_HESSIAN, 0.0, SIGMA, inf),
        (Noise.ISOTROPIC, 0.5, 0.0, inf),
        (Noise.ISOTROPIC, 0.0, SIGMA, 0.0),
        (Noise.ISOTROPIC, nan, SIGMA, inf),
    ],
)
def test_differencing_without_isotropic_noise_identifies(
    noise: Noise, distance: float, scale: float, mu: float
) -> None:
    assert differencing_shift(noise, distance, scale) == mu


def test_an_error_behind_a_mask_shifts_by_both_its_ends() -> None:
    assert rounding_shift(0.0, 0.0) == 0
    assert rounding_shift(1e-9, 0.0) == inf
    assert rounding_shift(3e-9, 1e-3) == pytest.approx(6e-6)
    assert rounding_shift(3e-9, 1e-3) >= 6e-6
