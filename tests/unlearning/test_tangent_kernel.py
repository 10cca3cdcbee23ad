"""The tangent kernel, its mean over outputs and the preconditioner, against dense matrices."""

from typing import Any

import numpy as np
import pytest

from tests.unlearning.dense_network import DenseJacobian
from tests.unlearning.tiny_network import CLASSES, dense, linearization, rows
from unlearning import cg, tangent
from unlearning.tangent_kernel import Kernel, MeanKernel

PSI = rows(9)
J = dense(PSI)
OUTER = np.einsum("icp,jdp->icjd", J, J)


def signs(seed: int, mixtures: int) -> Any:
    return np.random.default_rng(seed).choice([-1.0, 1.0], (mixtures, CLASSES))


def test_its_products_are_those_of_the_dense_kernel() -> None:
    a = np.random.default_rng(1).normal(size=J.shape[:2])
    expected = np.einsum("icjd,jd->ic", OUTER, a) + 0.5 * a
    ours = Kernel(DenseJacobian(J), 0.5).times(a.ravel())
    np.testing.assert_allclose(ours, expected.ravel(), rtol=1e-12)


@pytest.mark.parametrize("block", [1, 2**12, 2**25])
@pytest.mark.parametrize("double", [True, False])
def test_the_mean_kernel_is_that_of_the_mixtures_drawn(
    block: int, double: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tangent, "BLOCK_BYTES", block)
    ours = linearization().jacobian(PSI, double=double).mean_kernel(cg.go_on)
    u = signs(0, tangent._MIXTURES)
    expected = np.einsum("mc,icjd,md->ij", u, OUTER, u) / (CLASSES * len(u))
    size = np.abs(expected).max()
    np.testing.assert_allclose(ours, expected, atol=(1e-12 if double else 1e-5) * size)
    assert np.linalg.eigvalsh(ours)[0] > -1e-6 * size


def test_with_many_mixtures_it_is_the_mean_over_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tangent, "_MIXTURES", 4000)
    ours = linearization().jacobian(PSI, double=True).mean_kernel(cg.go_on)
    mean = np.einsum("icjc->ij", OUTER) / CLASSES
    assert np.abs(ours - mean).max() < 0.05 * np.abs(OUTER).max()


def test_there_is_none_where_activations_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tangent, "KEPT_BYTES", 0)
    assert linearization().jacobian(PSI, double=True).mean_kernel(cg.go_on) is None


def test_it_can_be_stopped() -> None:
    class StoppedError(Exception):
        pass

    def stop() -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        linearization().jacobian(PSI, double=True).mean_kernel(stop)


def test_the_preconditioner_inverts_one_kernel_for_every_output() -> None:
    A = np.random.default_rng(2).normal(size=(5, 7))
    r = np.random.default_rng(3).normal(size=(5, 3))
    ours = MeanKernel([b"%d" % i for i in range(5)], A @ A.T).preconditioner(0.5).solve(r.ravel())
    expected = np.linalg.solve(A @ A.T + 0.5 * np.eye(5), r)
    np.testing.assert_allclose(ours.reshape(5, 3), expected, atol=1e-4)


def test_rounding_of_a_kernel_without_rank_does_not_cost_it_its_definiteness() -> None:
    A = 1e4 * np.ones((50, 1)) + 1e-9 * np.random.default_rng(4).normal(size=(50, 2))
    K = (A.astype(np.float32) @ A.astype(np.float32).T).astype(float)
    solve = MeanKernel([b"%d" % i for i in range(50)], K).preconditioner(1e-6).solve
    assert np.isfinite(solve(np.arange(50.0))).all()


def test_the_kernel_of_some_rows_is_that_part_of_it_in_their_order() -> None:
    K = np.arange(16.0).reshape(4, 4)
    kernel = MeanKernel([b"a", b"b", b"b", b"d"], K)
    assert kernel.covers([b"d", b"a"])
    assert not kernel.covers([b"a", b"c"])
    part = kernel.among([b"d", b"a"])
    assert (part._values == K[np.ix_([3, 0], [3, 0])]).all()
    assert not part.covers([b"b"])
