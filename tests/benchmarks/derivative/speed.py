"""Leaving out all rows, and the derivative, beside scikit-learn's RidgeCV."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import RidgeCV

from tests.benchmarks.data import Data
from tests.benchmarks.timing import Timed, in_turn
from unlearning.dataset_derivative import leave_out_derivatives
from unlearning.lattice import TARGETS
from unlearning.leave_one_out import leave_out
from unlearning.statistics import Statistics
from unlearning.weighted_fit import Rows, WeightedFit

BLOCK = 1024


@dataclass(frozen=True)
class Speed:
    """Seconds from rows to answers, the Gram matrix included.

    Attributes:
        times: by what was computed.
        apart: largest difference of RidgeCV's left-out residuals from ours, relative to the
            targets.
    """

    times: Mapping[str, Timed]
    apart: float

    @property
    def over_ridge_cv(self) -> float:
        """How often leaving out is faster."""
        return self.times["RidgeCV"].seconds / self.times["leave one out"].seconds

    @property
    def of_derivative(self) -> float:
        """How often the derivative takes as long as leaving out."""
        return self.times["derivative"].seconds / self.times["leave one out"].seconds


def measure(data: Data) -> Speed:
    """All in turn."""
    X, T = data.rows, data.targets
    alpha = data.objective.ridge_in_real_units

    def ridge_cv() -> RidgeCV:
        found = RidgeCV(alphas=[alpha], fit_intercept=False, store_cv_results=True)
        return found.fit(X, T)

    times = in_turn(
        {
            "leave one out": lambda: _residuals(data),
            "derivative": lambda: list(leave_out_derivatives(_fit(data), lambda: _blocks(data))),
            "RidgeCV": ridge_cv,
        }
    )
    theirs = ridge_cv().cv_results_[:, :, 0]
    apart = np.abs(np.square(_residuals(data)) - theirs).max() / np.square(T).max()
    return Speed(times, float(apart))


def _fit(data: Data) -> WeightedFit:
    statistics = Statistics.empty(data.objective)
    statistics.add(data.psi, data.objective.targets(data.labels))
    return WeightedFit.of_statistics(statistics)


def _residuals(data: Data) -> np.ndarray:
    fit = _fit(data)
    return np.concatenate([leave_out(fit, rows).residuals for rows in _blocks(data)])


def _blocks(data: Data) -> list[Rows]:
    blocks = []
    for start in range(0, len(data.psi), BLOCK):
        here = slice(start, start + BLOCK)
        labels = data.labels[here]
        blocks.append(
            Rows(
                data.psi[here],
                data.objective.targets(labels) * np.float64(TARGETS.step),
                np.arange(start, start + len(labels)),
                np.ones(len(labels)),
                np.ones(len(labels), np.bool_),
            )
        )
    return blocks
