"""What others do to delete one row of the same data. Each call deletes the next row."""

from itertools import count

import numpy as np
from numpy.typing import NDArray
from polars_ds.linear_models import OnlineLR  # type: ignore[import-untyped]
from sklearn.linear_model import Ridge

from tests.benchmarks.data import Data
from tests.benchmarks.engine import Engine

SHARDS = 20
_SAME_OPTIMUM = 1e-6
"""Rivals whose weights differ by more solve another problem than we do."""


class RidgeRefit:
    """scikit-learn's Ridge, fitted to the rows that remain."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._left = count(1)
        # It need not copy what it does not change.
        alpha = data.objective.ridge_in_real_units
        self._model = Ridge(alpha=alpha, fit_intercept=False, copy_X=False)

    def delete(self) -> None:
        """Fits anew."""
        left = next(self._left)
        self._model.fit(self._data.rows[left:], self._data.targets[left:])

    @property
    def weights(self) -> NDArray[np.float64]:
        """(d, C)."""
        return np.asarray(self._model.coef_.T)


class OnlineUpdate:
    """polars-ds' OnlineLR, a rank-one update of an inverse. It has one output: the first class."""

    def __init__(self, data: Data) -> None:
        self._rows = iter(zip(data.rows, data.targets[:, 0], strict=True))
        X = data.rows
        inverse = np.linalg.inv(
            X.T @ X + data.objective.ridge_in_real_units * np.eye(data.objective.width)
        )
        coefficients = inverse @ (X.T @ data.targets[:, 0])
        self._model = OnlineLR.from_coeffs_bias_inverse(coefficients, 0.0, inverse)

    def delete(self) -> None:
        """Takes back the next row's update."""
        row, target = next(self._rows)
        self._model.update(row, target, -1.0)

    @property
    def weights(self) -> NDArray[np.float64]:
        """(d, 1)."""
        return np.asarray(self._model.coeffs()).reshape(-1, 1)


class Sisa:
    """SISA training (Bourtoule et al., Machine Unlearning, 2021, section IV), without slices.

    A Ridge on each shard, of which each has a vote; the row's shard is trained anew.
    """

    def __init__(self, data: Data) -> None:
        self._data = data
        self._rows = count()
        self._bounds = np.linspace(0, len(data.labels), SHARDS + 1).astype(int)
        alpha = data.objective.ridge_in_real_units
        self._models = [
            Ridge(alpha=alpha, fit_intercept=False, copy_X=False) for _ in range(SHARDS)
        ]

    def delete(self) -> None:
        """Deletes the first row left of each shard in turn, so that no row has to be moved."""
        earlier, shard = divmod(next(self._rows), SHARDS)
        left = slice(self._bounds[shard] + earlier + 1, self._bounds[shard + 1])
        self._models[shard].fit(self._data.rows[left], self._data.targets[left])


def differences(data: Data) -> dict[str, float]:
    """How far the weights of those that solve our problem are from ours, after one deletion.

    Relative to the largest weight. Raises if one of them solves another problem.
    """
    ours = data.objective.weights(Engine(data).erase())
    differences = {}
    for peer in (RidgeRefit(data), OnlineUpdate(data)):
        peer.delete()
        same = ours[:, : peer.weights.shape[1]]
        difference = float(np.abs(peer.weights - same).max() / np.abs(same).max())
        if difference > _SAME_OPTIMUM:
            raise RuntimeError(f"{type(peer).__name__} solves another problem")
        differences[type(peer).__name__] = difference
    return differences
