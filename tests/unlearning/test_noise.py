"""Noise: its law, where it comes from, and that what is released is rounded as if exact."""

import os
from math import sqrt

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import chisquare, kstest, kurtosis, skew

from unlearning import noise
from unlearning.errors import InvalidInputError
from unlearning.noise import ERROR, Source, grid, perturb, standard_normal

Floats = NDArray[np.float64]


def seeded(seed: int) -> Source:
    return np.random.default_rng(seed).bytes


def words(*values: int) -> Source:
    """Gives these words of 64 bits, one after the other, and then no more."""
    stream = b"".join(value.to_bytes(8, "little") for value in values)
    position = 0

    def read(size: int) -> bytes:
        nonlocal position
        start, position = position, position + size
        assert position <= len(stream)
        return stream[start:position]

    return read


def quantile(tail: int, bits: int) -> mpmath.mpf:
    """X > 0 that is exceeded with a chance of (tail + 1/2) 2^-bits."""
    with mpmath.workprec(bits + 100):
        return mpmath.sqrt(2) * mpmath.erfinv(1 - mpmath.ldexp(2 * tail + 1, -bits))


@pytest.mark.parametrize("seed", range(3))
def test_standard_gaussians_are_that(seed: int) -> None:
    X = standard_normal(200_000, seeded(seed))
    assert X.shape == (200_000,)
    assert X.dtype == np.float64
    assert kstest(X, "norm").pvalue > 1e-3
    assert abs(X.mean()) < 4 / sqrt(len(X))
    assert abs(X.var() - 1) < 4 * sqrt(2 / len(X))
    assert abs(skew(X)) < 4 * sqrt(6 / len(X))
    assert abs(kurtosis(X)) < 4 * sqrt(24 / len(X))
    assert abs(np.corrcoef(X[:-1], X[1:])[0, 1]) < 4 / sqrt(len(X))


def test_each_is_within_the_error_of_an_ideal_one() -> None:
    rng = np.random.default_rng(0)
    tails = [int(2.0 ** rng.uniform(11, 63)) for _ in range(500)] + [2**63 - 1, 2**10]
    for tail in tails:
        ideal = quantile(tail, 64)
        for sign in (0, 1):
            X = standard_normal(1, words(2 * tail + sign)).item()
            assert abs(X - (-ideal if sign else ideal)) < ERROR / 4


def test_tails_are_not_cut_off() -> None:
    """Where 64 bits are few, 64 more are drawn: beyond 9 standard deviations all is there."""
    for tail, further in [(0, 2**40), (0, 2**63), (3, 5), (1023, 2**64 - 1)]:
        X = standard_normal(1, words(2 * tail + 1, further)).item()
        assert abs(abs(X) - quantile(tail << 64 | further, 128)) < ERROR / 4
    assert abs(standard_normal(1, words(0, 2**20)).item()) > 11


def test_the_operating_system_is_asked_and_numpys_generator_is_not() -> None:
    drawn = []
    for _ in range(2):
        np.random.seed(0)
        before = np.random.get_state()[1].copy()
        drawn.append((standard_normal(5), perturb(np.zeros(5), 1.0)))
        assert (np.random.get_state()[1] == before).all()
    for one, other in zip(*drawn, strict=True):
        assert (one != other).any()  # single ones may be equal: releases are on a grid


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_processes_share_no_noise() -> None:
    standard_normal(3)
    drawn = []
    for _ in range(2):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, standard_normal(8).tobytes())
            os._exit(0)
        os.waitpid(child, 0)
        drawn.append(os.read(reading, 64))
        os.close(reading)
        os.close(writing)
    drawn.append(standard_normal(8).tobytes())
    assert len(set(drawn)) == 3


@pytest.mark.parametrize("scale", [1e-6, 0.37, 1.0, 2.0**-30, 3e5])
def test_what_is_released_lies_on_the_grid_and_has_the_noise_asked_for(scale: float) -> None:
    values = np.random.default_rng(0).normal(size=(400, 500))
    released = perturb(values, scale, seeded(1))
    assert released.shape == values.shape
    step = grid(scale)
    assert np.frexp(step)[0] == 0.5
    assert scale / 2048 < step <= scale / 1024
    assert (released / step == np.rint(released / step)).all()
    assert kstest(((released - values) / scale).ravel(), "norm").pvalue > 1e-3


def test_grid_points_have_the_chances_of_a_rounded_gaussian() -> None:
    """However far a value is from the grid, which is coarse here to be seen."""
    for value in (0.0, 0.3, 0.5, -7.21):
        units = np.full(200_000, value)
        released = noise._rounded(units, 2.0, seeded(2))
        points = np.arange(-30, 31)
        chances = np.diff(ndtr((np.append(points - 0.5, 30.5) - value) / 2))
        seen = np.array([(released == point).sum() for point in points])
        often = chances * len(units) > 10
        expected = chances[often] / chances[often].sum() * seen[often].sum()
        assert chisquare(seen[often], expected).pvalue > 1e-3


def test_the_long_way_ends_where_the_short_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=500)
    short = perturb(values, 0.7, seeded(3))
    monkeypatch.setattr(noise, "ERROR", 1.0)  # no rounding is trusted
    asked: list[int] = []
    source = seeded(3)

    def counted(size: int) -> bytes:
        asked.append(size)
        return source(size)

    assert (perturb(values, 0.7, counted) == short).all()
    assert len(asked) >= 501


@pytest.mark.parametrize(("moved", "expected"), [(-1, 1.0), (1, 0.0)])
def test_bits_beyond_float64_decide_a_rounding(moved: int, expected: float) -> None:
    """U is that of half a step, but for its 128th bit: more of its tail is a smaller X."""
    scale = 1024.0
    with mpmath.workprec(300):
        tail = int(mpmath.floor(mpmath.ldexp(mpmath.ncdf(-mpmath.mpf(0.5) / scale), 128)))
    first, second = divmod(tail + moved, 2**64)
    [released] = noise._rounded(np.zeros(1), scale, words(2 * first, second))
    assert released == expected
    [mirrored] = noise._rounded(np.zeros(1), scale, words(2 * first + 1, second))
    assert mirrored == -expected


def test_far_tails_are_refined() -> None:
    [released] = noise._rounded(np.zeros(1), 1024.0, words(0, 2**60, 0))
    assert released == int(mpmath.nint(1024 * quantile(2**61, 129)))


def test_low_bits_of_values_are_gone() -> None:
    """Values that differ by less than the grid are released alike, but for chance."""
    values = np.random.default_rng(0).normal(size=10_000)
    moved = values + 2.0**-40 * np.random.default_rng(1).integers(-4, 5, size=10_000)
    assert (perturb(values, 1.0, seeded(4)) == perturb(moved, 1.0, seeded(4))).all()


def test_a_zero_has_no_sign() -> None:
    released = perturb(np.full(5000, -0.0), 1e-3, seeded(5))
    assert (released == 0).any()
    assert not np.signbit(released[released == 0]).any()


@pytest.mark.parametrize("order", ["C", "F"])
def test_values_are_left_as_they_are_and_of_any_layout(order: str) -> None:
    values = np.asarray(np.arange(6.0).reshape(2, 3), order=order)  # type: ignore[call-overload]
    released = perturb(values, 1e-9, seeded(6))
    np.testing.assert_allclose(released, values, atol=1e-8)
    assert (values == np.arange(6.0).reshape(2, 3)).all()
    assert perturb(np.zeros((0, 3)), 1.0).shape == (0, 3)


@pytest.mark.parametrize(
    ("value", "scale", "problem"),
    [
        (0.0, 0.0, "range"),
        (0.0, -1.0, "range"),
        (0.0, float("nan"), "range"),
        (0.0, float("inf"), "range"),
        (0.0, 1e-300, "range"),
        (1.0, 1e-100, "too small"),
        (1e6, 1e-8, "too small"),
        (float("nan"), 1.0, "too small"),
        (float("inf"), 1.0, "too small"),
    ],
)
def test_a_scale_without_a_grid_is_refused(value: float, scale: float, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem) as caught:
        perturb(np.array([0.5, value]), scale)
    assert caught.value.field == "user_weights.noise_scale"


def test_the_stated_error_has_room() -> None:
    """What ``ndtri`` is off, over all magnitudes and about the joints of its pieces."""
    rng = np.random.default_rng(0)
    joints = np.exp([-2.0, -32.0])[:, None] * (1 + 1e-12 * rng.normal(size=50))
    chances = [
        *2.0 ** -rng.uniform(1, 64, 1500),
        *joints.ravel(),
        *(0.5 - 2.0 ** -rng.uniform(2, 52, 300)),
    ]
    with mpmath.workprec(200):
        for chance in chances:
            ideal = -mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * mpmath.mpf(float(chance)))
            assert abs(float(ndtri(chance)) - ideal) < 2.0**-48
