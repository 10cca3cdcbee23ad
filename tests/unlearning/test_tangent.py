import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from tests.unlearning.tiny_network import CLASSES, WIDTH, dense, linearization, rows
from unlearning import tangent
from unlearning.errors import InvalidInputError
from unlearning.piecewise_linear import Pointwise, Sequential
from unlearning.tangent import Entrance, TangentLinearization

LINEARIZATION = linearization()
PSI = rows(7)
J = dense(PSI)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Products are small here: threads would only wait for each other."""
    with threadpool_limits(1):
        yield


def draw(*shape):
    return np.random.default_rng(9).normal(size=shape)


@pytest.fixture(params=[True, False], ids=["double", "single"])
def double(request):
    return request.param


@pytest.fixture
def jacobian(double):
    return LINEARIZATION.jacobian(PSI, double=double)


@pytest.fixture
def tolerance(double):
    return 1e-12 if double else 1e-5


def test_says_its_shape(jacobian):
    assert (LINEARIZATION.outputs, LINEARIZATION.parameters) == J.shape[1:]
    assert (jacobian.rows, jacobian.outputs, jacobian.parameters) == J.shape


def test_products_are_those_of_the_dense_jacobian(jacobian, tolerance):
    v, u = draw(J.shape[2]), draw(*J.shape[:2])
    ours, back = jacobian.matvec(v), jacobian.rmatvec(u)
    assert ours.dtype == back.dtype == np.float64
    assert np.linalg.norm(ours - J @ v) < tolerance * np.linalg.norm(J @ v)
    truth = np.einsum("ncp,nc->p", J, u)
    assert np.linalg.norm(back - truth) < tolerance * np.linalg.norm(truth)


def test_each_parameter_has_its_place(jacobian, tolerance):
    basis = np.eye(J.shape[2])
    columns = np.stack([jacobian.matvec(e) for e in basis], axis=2)
    np.testing.assert_allclose(columns, J, atol=tolerance * np.abs(J).max())


@pytest.mark.parametrize(("block", "kept"), [(1, 0), (1, 2**30), (1, 5000), (8000, 0), (2**25, 0)])
def test_blocks_and_what_is_kept_do_not_matter(
    jacobian, tolerance, double, block, kept, monkeypatch
):
    v, u = draw(J.shape[2]), draw(*J.shape[:2])
    monkeypatch.setattr(tangent, "BLOCK_BYTES", block)
    monkeypatch.setattr(tangent, "KEPT_BYTES", kept)
    other = LINEARIZATION.jacobian(PSI, double=double)
    for ours, truth in (
        (other.matvec(v), jacobian.matvec(v)),
        (other.rmatvec(u), jacobian.rmatvec(u)),
    ):
        assert np.linalg.norm(ours - truth) <= tolerance * np.linalg.norm(truth)


def test_room_is_kept_to(monkeypatch):
    monkeypatch.setattr(tangent, "BLOCK_BYTES", 1)
    monkeypatch.setattr(tangent, "KEPT_BYTES", 2**30)
    everything = LINEARIZATION.jacobian(PSI, double=True)._kept
    assert len(everything) == len(PSI)
    monkeypatch.setattr(tangent, "KEPT_BYTES", 3 * tangent._bytes(everything[0]))
    assert len(LINEARIZATION.jacobian(PSI, double=True)._kept) == 3


def test_the_constant_is_not_used(jacobian, double):
    psi = PSI.copy()
    psi[:, -1] = 77
    v = draw(J.shape[2])
    assert (LINEARIZATION.jacobian(psi, double=double).matvec(v) == jacobian.matvec(v)).all()


def test_no_rows(double):
    none = LINEARIZATION.jacobian(PSI[:0], double=double)
    assert none.matvec(draw(J.shape[2])).shape == (0, CLASSES)
    assert (none.rmatvec(np.zeros((0, CLASSES))) == np.zeros(J.shape[2])).all()


def test_rows_that_may_not_be_written(double):
    psi = np.frombuffer(PSI.tobytes(), np.int16).reshape(-1, WIDTH)
    v = np.frombuffer(draw(J.shape[2]).tobytes())
    ours = LINEARIZATION.jacobian(psi, double=double).matvec(v)
    np.testing.assert_allclose(ours, J @ v, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("block", [1, 2**25])
@pytest.mark.parametrize("row", [0, 4])
def test_a_row_whose_activations_are_not_finite_is_named(row, block, double, monkeypatch):
    monkeypatch.setattr(tangent, "BLOCK_BYTES", block)

    def network(dtype):
        huge = torch.full((1, 1), 1e38 if dtype == torch.float32 else 1e308, dtype=dtype)
        none = torch.zeros(1, dtype=dtype)
        return Sequential(Pointwise(huge, none), Pointwise(torch.ones_like(huge), none))

    psi = np.ones((6, 2), np.int16)
    overflowing = TangentLinearization(network, Entrance(1, 1, 1.0))
    overflowing.jacobian(psi, double=double)
    psi[row:, 0] = 2000
    with pytest.raises(InvalidInputError, match="not finite") as error:
        overflowing.jacobian(psi, double=double)
    assert error.value.row == row
