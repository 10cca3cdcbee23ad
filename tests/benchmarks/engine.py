"""The mathematics alone."""

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.data import Data
from tests.benchmarks.timing import Timed, in_turn
from unlearning.forgetting import MixedPrivacyModel


class Engine:
    """A released model; each erasure takes its first rows that are left."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._gone = 0
        self._model = fitted(data)
        self._model.solve()

    def erase(self, k: int = 1) -> NDArray[np.int64]:
        """Takes k rows out; the weights that follow are correctly rounded, and proven to be."""
        rows = slice(self._gone, self._gone + k)
        if rows.stop > len(self._data.labels):
            raise RuntimeError("no rows are left to erase")
        self._model.erase(self._data.psi[rows], self._data.labels[rows])
        self._gone = rows.stop
        return self._model.solve().weights

    def check(self) -> None:
        """Raises unless the weights have the bits of a model that never saw the erased rows."""
        left = slice(self._gone, None)
        data = self._data
        fresh = fitted(Data(data.features[left], data.psi[left], data.labels[left], data.objective))
        if not np.array_equal(fresh.solve().weights, self._model.solve().weights):
            raise RuntimeError("the weights are not those of a fresh fit")


def fitted(data: Data) -> MixedPrivacyModel:
    """A model that holds the rows; nothing is solved yet."""
    model = MixedPrivacyModel(data.objective)
    model.add(data.psi, data.labels, np.zeros(len(data.labels), np.bool_))
    return model


def fits(data: Data) -> dict[str, Timed]:
    """The exact statistics, and the first release with them, beside one float64 product."""
    X = data.rows
    return in_turn(
        {
            "product": lambda: X.T @ X,
            "statistics": lambda: fitted(data),
            "released": lambda: fitted(data).solve(),
        }
    )
