from itertools import pairwise

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from tests.unlearning.tiny_network import HIDDEN, SHAPES, dense, linearization, rows
from unlearning.kfac import KroneckerCurvature, KroneckerPreconditioner, Spectrum
from unlearning.linearized import Moments
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
    def test_one_dense_layer(self, n):
        network, psi = perceptron(1), draw_rows(n)
        inverse = as_matrix(KroneckerCurvature(network, psi, LAM).preconditioner(n), 16)
        np.testing.assert_allclose(inverse @ hessian(network, psi), np.eye(16), atol=1e-9)

    @pytest.mark.parametrize("n", [1, 9])
    def test_diagonal_blocks_of_dense_layers(self, n):
        network, psi = perceptron(3), draw_rows(n)
        inverse = as_matrix(
            KroneckerCurvature(network, psi, LAM).preconditioner(n), network.parameters
        )
        H = hessian(network, psi)
        blocks = np.zeros_like(H)
        for layer in network.moments(psi):
            blocks[layer.weights, layer.weights] = H[layer.weights, layer.weights]
        np.testing.assert_allclose(inverse @ blocks, np.eye(len(H)), atol=1e-9)

    def test_any_number_of_rows_like_them(self):
        network, psi = perceptron(1), draw_rows(5)
        inverse = as_matrix(KroneckerCurvature(network, psi, LAM).preconditioner(35), 16)
        np.testing.assert_allclose(inverse @ hessian(network, psi, 7), np.eye(16), atol=1e-9)


class TestMoments:
    MOMENTS = LINEARIZATION.moments(PSI)

    def test_cover_the_weights_in_order(self):
        assert self.MOMENTS[0].weights.start == 0
        for layer, following in pairwise(self.MOMENTS):
            assert layer.weights.stop == following.weights.start
        assert self.MOMENTS[-1].weights.stop == LINEARIZATION.parameters

    @pytest.mark.parametrize("index", range(len(SHAPES)))
    def test_have_the_trace_of_the_dense_block(self, index):
        layer = self.MOMENTS[index]
        trace = (np.trace(layer.A, axis1=1, axis2=2) * np.trace(layer.S, axis1=1, axis2=2)).sum()
        assert trace == pytest.approx((J[:, :, layer.weights] ** 2).sum(), rel=1e-10)

    def test_of_a_depthwise_convolution_are_the_blocks_of_its_channels(self):
        layer = self.MOMENTS[DEPTHWISE]
        part = J[:, :, layer.weights].reshape(-1, HIDDEN, 10)
        np.testing.assert_allclose(
            layer.A * layer.S, np.einsum("ngi,ngj->gij", part, part), atol=1e-9
        )

    def test_of_the_last_layer_are_exact(self):
        layer = self.MOMENTS[CLASSIFIER]
        part = J[:, :, layer.weights].reshape(-1, layer.weights.stop - layer.weights.start)
        np.testing.assert_allclose(np.kron(layer.S[0], layer.A[0]), part.T @ part, atol=1e-9)

    def test_do_not_depend_on_blocks_of_rows(self, monkeypatch):
        monkeypatch.setattr("unlearning.tangent.BLOCK_BYTES", 1)
        for layer, other in zip(LINEARIZATION.moments(PSI), self.MOMENTS, strict=True):
            np.testing.assert_allclose(layer.A, other.A, rtol=1e-10, atol=1e-10)
            np.testing.assert_allclose(layer.S, other.S, rtol=1e-10, atol=1e-10)

    def test_no_rows_leave_the_ridge(self):
        layers = [Spectrum.of(layer) for layer in LINEARIZATION.moments(PSI[:0])]
        r = np.arange(float(LINEARIZATION.parameters))
        np.testing.assert_allclose(KroneckerPreconditioner(layers, 1.0, LAM).solve(r), r / LAM)


class TestPreconditioner:
    @pytest.mark.parametrize("seed", range(20))
    def test_is_positive_definite_whatever_the_factors(self, seed):
        """Also where they have no full rank, or rounding left them indefinite."""
        random = np.random.default_rng(seed)
        groups, outputs, inputs = random.integers(1, 5, 3)
        size = int(groups * outputs * inputs)
        factors = []
        for side in (inputs, outputs):
            roots = random.normal(size=(groups, side, random.integers(0, side + 1)))
            roots *= 10.0 ** random.integers(-3, 3)
            factors.append(roots @ roots.mT - 1e-6 * np.eye(side))
        layer = Spectrum.of(Moments(slice(2, 2 + size), *factors))
        inverse = as_matrix(KroneckerPreconditioner([layer], 3.0, 1e-3), size + 3)
        np.testing.assert_allclose(inverse, inverse.T, atol=1e-9 * np.abs(inverse).max())
        assert np.linalg.eigvalsh((inverse + inverse.T) / 2).min() > 0
        np.testing.assert_allclose(inverse[:2, :2], np.eye(2) / 1e-3)

    def test_few_of_many_rows_are_looked_at(self, monkeypatch):
        monkeypatch.setattr("unlearning.kfac.MOST_ROWS", 3)
        network, psi = perceptron(1), np.tile(draw_rows(1), (7, 1))
        inverse = as_matrix(KroneckerCurvature(network, psi, LAM).preconditioner(7), 16)
        np.testing.assert_allclose(inverse @ hessian(network, psi), np.eye(16), atol=1e-9)
