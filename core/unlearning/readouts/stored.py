"""Stored rows as models under test, trained and made to forget as the service does it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearning.lattice import TARGETS
from unlearning.objective import Objective
from unlearning.readouts.model import Floats, Released, Rows
from unlearning.release import ForgettingModel
from unlearning.statistics import ROWS_AT_ONCE


class StoredModel(ABC):
    """Trains on stored rows and takes them out again, request by request.

    Where there is noise the same rows are asked for again and again, for other noise: the
    solved models are kept, and release anew.

    Attributes:
        objective: what is minimised.
        entries: stored rows of all samples, shape (n, row_width).
        labels: their class indices, shape (n,).
        is_core: which of them no request can name, shape (n,).
    """

    def __init__(
        self,
        objective: Objective,
        entries: NDArray[np.int16],
        labels: NDArray[np.integer[Any]],
        is_core: NDArray[np.bool_],
    ) -> None:
        self.objective = objective
        self.entries = entries
        self.labels = labels
        self.is_core = is_core
        self._kept: dict[bytes, ForgettingModel] = {}

    @abstractmethod
    def empty(self) -> ForgettingModel:
        """A model without a row."""

    @abstractmethod
    def logits(self, rows: Rows, weights: NDArray[np.float64]) -> Floats:
        """Of some rows, shape (k, C), with released weights in real units."""

    @abstractmethod
    def kernel(self, rows: Rows, /) -> Callable[[Floats], Floats]:
        """The product with J J' of the rows."""

    def train(self, rows: Rows, _seed: int, /) -> Released:
        """Raises CapacityError for more rows than the model can hold."""
        return self._released(rows, ())

    def unlearn(self, rows: Rows, requests: Sequence[Rows], _seed: int, /) -> Released:
        """Raises CapacityError for more rows than the model can hold."""
        return self._released(rows, requests)

    def _released(self, rows: Rows, requests: Sequence[Rows]) -> Released:
        if not self.objective.noise_scale:
            return self.release(self._forgotten(rows, requests))
        key = b"|".join(part.tobytes() for part in (rows, *requests))
        if key not in self._kept:
            self._kept[key] = self._forgotten(rows, requests)
        return self.release(self._kept[key])

    def targets(self, rows: Rows, /) -> Floats:
        """In real units."""
        return self.objective.targets(self.labels[rows]) * TARGETS.step

    def release(self, model: ForgettingModel) -> Released:
        """What the weights released now say, computed for a block of rows at a time."""
        weights = self.objective.weights(model.release().weights)

        def logits(rows: Rows) -> Floats:
            blocks = range(0, len(rows), ROWS_AT_ONCE)
            return np.concatenate(
                [self.logits(rows[start : start + ROWS_AT_ONCE], weights) for start in blocks]
            )

        return logits

    def _forgotten(self, rows: Rows, requests: Sequence[Rows]) -> ForgettingModel:
        model, everything = self.empty(), np.concatenate([rows, *requests])
        model.add(self.entries[everything], self.labels[everything], self.is_core[everything])
        for request in requests:
            model.release()
            model.erase(self.entries[request], self.labels[request])
        return model
