"""Leaving out all rows, and the derivative, beside scikit-learn's RidgeCV and EKFAC's influence."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import RidgeCV

from tests.benchmarks.data import Data
from tests.benchmarks.derivative import peer
from tests.benchmarks.timing import Timed, in_turn, seconds
from unlearning import blas
from unlearning.dataset_derivative import leave_out_derivatives
from unlearning.lattice import TARGETS
from unlearning.leave_one_out import leave_out
from unlearning.statistics import Statistics
from unlearning.weighted_fit import Rows, WeightedFit

BLOCK = 2048
"""Rows that a server reads at once."""
TURNS = 3

LEAVING_OUT = "leave one out"
HELD = "leave one out, the Gram matrix being held as a server does"
DERIVATIVE = "derivative of leave-one-out error"
PRODUCTS = "the two products in leaving one out alone (dsyrk, dtrmm)"
RIDGE_CV = "scikit-learn RidgeCV"
RIDGE_CV_SVD = "scikit-learn RidgeCV, gcv_mode='svd', the default before 1.9"
EKFAC = "kronfluence, influence by EKFAC in float32"


@dataclass(frozen=True)
class Speed:
    """Seconds from rows to answers, the Gram matrix included unless it is said.

    Attributes:
        times: by what was computed.
        apart: largest difference of RidgeCV's left-out residuals from ours, relative to the
            targets.
    """

    times: Mapping[str, Timed]
    apart: float

    def over(self, name: str) -> float:
        """How many times as long as leaving out something takes."""
        return self.times[name].seconds / self.times[LEAVING_OUT].seconds


def measure(data: Data) -> Speed:
    """All in turn, but once each what takes long."""
    fit = _fit(data)
    times = in_turn(
        {
            LEAVING_OUT: lambda: _residuals(data, _fit(data)),
            HELD: lambda: _residuals(data, fit),
            DERIVATIVE: lambda: list(leave_out_derivatives(_fit(data), lambda: _blocks(data))),
            PRODUCTS: lambda: _products(data, fit),
            RIDGE_CV: lambda: _ridge_cv(data),
        },
        TURNS,
    )
    times[RIDGE_CV_SVD] = Timed.of([seconds(lambda: _ridge_cv(data, "svd"))])
    if peer.FOLDER.is_dir():
        W = fit.W / data.objective.features.step
        with peer.ekfac(data, W) as work:
            times[EKFAC] = Timed.of([seconds(work)])
    theirs = _ridge_cv(data).cv_results_[:, :, 0]
    apart = np.abs(np.square(_residuals(data, fit)) - theirs).max() / np.square(data.targets).max()
    return Speed(times, float(apart))


def _ridge_cv(data: Data, mode: str = "auto") -> RidgeCV:
    alphas = [data.objective.ridge_in_real_units]
    learner = RidgeCV(alphas=alphas, fit_intercept=False, store_cv_results=True, gcv_mode=mode)
    return learner.fit(data.rows, data.targets)


def _products(data: Data, fit: WeightedFit) -> None:
    G = np.zeros_like(fit.A)
    for start in range(0, len(data.rows), BLOCK):
        psi = data.rows[start : start + BLOCK]
        blas.add_outer_product(G, 1.0, psi.T)
        fit.whiten(psi)


def _fit(data: Data) -> WeightedFit:
    statistics = Statistics.empty(data.objective)
    statistics.add(data.psi, data.objective.targets(data.labels))
    return WeightedFit.of_statistics(statistics)


def _residuals(data: Data, fit: WeightedFit) -> np.ndarray:
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
