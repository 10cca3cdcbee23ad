"""A preview beside what is computed once the rows have gone."""

from collections.abc import Mapping

import numpy as np

from tests.benchmarks.data import Data
from unlearning.lattice import TARGETS
from unlearning.leave_one_out import held_out_error, leave_out
from unlearning.statistics import Statistics
from unlearning.weighted_fit import Rows, WeightedFit

ERASED = (1, 10, 100, 1000, 10_000)
BLOCK = 1024


def measure(data: Data) -> Mapping[int, float]:
    """By the number of rows erased, how far the preview's error is off, relatively."""
    everything = Statistics.empty(data.objective)
    everything.add(data.psi, data.objective.targets(data.labels))
    found = {}
    for k in ERASED:
        ahead = everything.copy()
        ahead.subtract(data.psi[:k], data.objective.targets(data.labels[:k]))
        fresh = Statistics.empty(data.objective)
        fresh.add(data.psi[k:], data.objective.targets(data.labels[k:]))
        errors = [_error(statistics, data, k) for statistics in (ahead, fresh)]
        found[k] = abs(errors[0] - errors[1]) / errors[1]
    return found


def _error(statistics: Statistics, data: Data, start: int) -> float:
    fit = WeightedFit.of_statistics(statistics)
    pairs = []
    for at in range(start, len(data.psi), BLOCK):
        labels = data.labels[at : at + BLOCK]
        n = len(labels)
        t = data.objective.targets(labels) * np.float64(TARGETS.step)
        rows = Rows(data.psi[at : at + BLOCK], t, np.arange(n), np.ones(n), np.ones(n, np.bool_))
        pairs.append((leave_out(fit, rows).residuals, t))
    return held_out_error(pairs).error
