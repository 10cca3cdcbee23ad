"""The mathematics alone, beside one float64 product and a Ridge refit."""

import tracemalloc
from itertools import count

import numpy as np
from sklearn.linear_model import Ridge

from tests.benchmarks.data import Data
from tests.benchmarks.timing import medians
from unlearning.forgetting import MixedPrivacyModel


def measure(data: Data) -> dict[str, float]:
    """Seconds of a fit and an erasure with their peers', and memory in units of d^2 float64."""
    psi, is_core = data.psi, np.zeros(len(data.labels), np.bool_)
    X = psi.astype(np.float64)
    onehot = np.eye(len(data.objective.classes))[data.labels]
    model = MixedPrivacyModel(data.objective)
    next_row = count()

    def statistics() -> None:
        MixedPrivacyModel(data.objective).add(psi, data.labels, is_core)

    def erase() -> None:
        i = next(next_row)
        model.erase(psi[i : i + 1], data.labels[i : i + 1])
        model.solve()

    def refit() -> None:
        Ridge(alpha=data.objective.ridge_in_real_units, fit_intercept=False).fit(X[1:], onehot[1:])

    fits = medians(3, product=lambda: X.T @ X, statistics=statistics)
    model.add(psi, data.labels, is_core)
    erasures = medians(10, erase=erase, refit=refit)
    return {**fits, **erasures, "memory": _memory(data, psi)}


def _memory(data: Data, psi: np.ndarray) -> float:
    """Peak of what a fit, a release and an erasure allocate, the rows not counted."""
    tracemalloc.start()
    model = MixedPrivacyModel(data.objective)
    model.add(psi, data.labels, np.zeros(len(psi), np.bool_))
    model.solve()
    model.erase(psi[:1], data.labels[:1])
    model.solve()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / (data.objective.width**2 * 8)
