from itertools import pairwise

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from tests.benchmarks.kfac import KroneckerPreconditioner, Spectrum, moments, preconditioner
from tests.unlearning.tiny_network import HIDDEN, SHAPES, dense, linearization, rows
from unlearning.piecewise_linear import Pointwise, Sequential
from unlearning.tangent import Entrance, TangentLinearization

LAM = 0.7
LINEARIZATION = linearization()
PSI = rows(6)
J = dense(PSI)
DEPTHWISE, CLASSIFIER = 2, 5


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Products are small here: threads would only wait for each other."""
    with threadpool_limits(1):
        yield


def perceptron(depth):
    """Dense layers without activations, 3 inputs, 4 outputs."""
    random = np.random.default_rng(2)
    sizes = [3, *[5] * (depth - 1), 4]
    parts = [(random.normal(size=(o, i)), random.normal(size=o)) for i, o in pairwise(sizes)]

    def network(dtype):
        return Sequential(
            *(Pointwise(*(torch.tensor(part, dtype=dtype) for part in layer)) for layer in parts)
        )

    return TangentLinearization(network, Entrance(3, 1, 2.0**-11))


def hessian(network, psi, times=1):
    jacobian = network.jacobian(psi, double=True)
    columns = [jacobian.matvec(e).ravel() for e in np.eye(network.parameters)]
    matrix = np.stack(columns, axis=1)
    return times * matrix.T @ matrix + LAM * np.eye(network.parameters)


def as_matrix(preconditioner, size):
    return np.stack([preconditioner.solve(e) for e in np.eye(size)], axis=1)


def draw_rows(n):
    return np.random.default_rng(1).integers(-4000, 4000, (n, 4)).astype(np.int16)


class TestExactness:
    """Where the Kronecker factors multiply to J'J itself."""

    @pytest.mark.parametrize("n", [1, 9])
    def test_diagonal_blocks_of_dense_layers(self, n):
        network, psi = perceptron(3), draw_rows(n)
        inverse = as_matrix(preconditioner(network, psi, n, LAM), network.parameters)
        H = hessian(network, psi)
        blocks = np.zeros_like(H)
        for weights, _, _ in moments(network.jacobian(psi, double=True)):
            blocks[weights, weights] = H[weights, weights]
        np.testing.assert_allclose(inverse @ blocks, np.eye(len(H)), atol=1e-9)

    def test_any_number_of_rows_like_them(self):
        network, psi = perceptron(1), draw_rows(5)
        inverse = as_matrix(preconditioner(network, psi, 35, LAM), 16)
        np.testing.assert_allclose(inverse @ hessian(network, psi, 7), np.eye(16), atol=1e-9)

    def test_few_of_many_rows_are_looked_at(self, monkeypatch):
        monkeypatch.setattr("tests.benchmarks.kfac.MOST_ROWS", 3)
        network, psi = perceptron(1), np.tile(draw_rows(1), (7, 1))
        inverse = as_matrix(preconditioner(network, psi, 7, LAM), 16)
        np.testing.assert_allclose(inverse @ hessian(network, psi), np.eye(16), atol=1e-9)


class TestMoments:
    MOMENTS = moments(LINEARIZATION.jacobian(PSI, double=True))

    def test_cover_the_weights_in_order(self):
        parts = [weights for weights, _, _ in self.MOMENTS]
        assert parts[0].start == 0
        assert all(one.stop == following.start for one, following in pairwise(parts))
        assert parts[-1].stop == LINEARIZATION.parameters

    @pytest.mark.parametrize("index", range(len(SHAPES)))
    def test_have_the_trace_of_the_dense_block(self, index):
        weights, A, S = self.MOMENTS[index]
        trace = (np.trace(A, axis1=1, axis2=2) * np.trace(S, axis1=1, axis2=2)).sum()
        assert trace == pytest.approx((J[:, :, weights] ** 2).sum(), rel=1e-10)

    def test_of_a_depthwise_convolution_are_the_blocks_of_its_channels(self):
        weights, A, S = self.MOMENTS[DEPTHWISE]
        part = J[:, :, weights].reshape(-1, HIDDEN, 10)
        np.testing.assert_allclose(A * S, np.einsum("ngi,ngj->gij", part, part), atol=1e-9)

    def test_of_the_last_layer_are_exact(self):
        weights, A, S = self.MOMENTS[CLASSIFIER]
        part = J[:, :, weights].reshape(-1, weights.stop - weights.start)
        np.testing.assert_allclose(np.kron(S[0], A[0]), part.T @ part, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_is_positive_definite_whatever_the_factors(seed):
    """Also where they have no full rank, or rounding left them indefinite."""
    random = np.random.default_rng(seed)
    groups, outputs, inputs = random.integers(1, 5, 3)
    size = int(groups * outputs * inputs)
    factors = []
    for side in (inputs, outputs):
        roots = random.normal(size=(groups, side, random.integers(0, side + 1)))
        roots *= 10.0 ** random.integers(-3, 3)
        factors.append(roots @ roots.mT - 1e-6 * np.eye(side))
    layer = Spectrum.of(slice(0, size), *factors)
    inverse = as_matrix(KroneckerPreconditioner([layer], 3.0, 1e-3), size)
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-9 * np.abs(inverse).max())
    assert np.linalg.eigvalsh((inverse + inverse.T) / 2).min() > 0
