"""Weights of rows moved down the gradient of a held-out error.

    a <- max(0, a - step g / max_j |g_j|),   g = dl/da at these very weights

from a = 1, so that no weight moves by more than a step at a time (Golatkar et al., DIVA: Dataset
Derivative of a Learning Task, ICLR 2022, which takes one to three steps of 0.1). The error stays
the sum over all rows that count, whatever they weigh.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unlearning.dataset_derivative import Derivatives, Source
from unlearning.weighted_fit import Rows, WeightedFit

STEP = 0.1

_Floats = NDArray[np.float64]


def descend(a: _Floats, derivatives: _Floats) -> _Floats:
    """The weights a step further, shape (n,); the same where all derivatives are 0."""
    largest = np.abs(derivatives).max(initial=0.0)
    if not largest:
        return a
    return np.asarray(np.maximum(a - STEP * derivatives / largest, 0.0))


def reweight(
    source: Source,
    ridge: float,
    differentiate: Callable[[WeightedFit, Source], Derivatives],
    derivatives: _Floats,
    steps: int,
) -> _Floats:
    """Weights after some steps, shape (n,): each but the first takes a fit and its derivatives.

    Args:
        source: all rows.
        ridge: lam > 0, in their unit.
        differentiate: of all rows, given a fit and the rows at its weights.
        derivatives: dl/da at weights 1.
        steps: how many.
    """
    a = np.ones(len(derivatives))
    for step in range(steps):
        if step:
            rows = _weighing(source, a)
            derivatives = differentiate(WeightedFit.of_rows(rows(), ridge), rows).derivatives
        a = descend(a, derivatives)
    return a


def _weighing(source: Source, a: _Floats) -> Source:
    """The same rows at other weights."""

    def rows() -> Iterator[Rows]:
        start = 0
        for block in source():
            yield replace(block, weights=a[start : start + len(block)])
            start += len(block)

    return rows
