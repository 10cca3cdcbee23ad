"""Wrong labels found by the derivative, beside neighbours and confident learning."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.benchmarks.derivative.fits import Floats, Labels, Noisy
from unlearn.v1.valuation_pb2 import Derivative
from unlearn_client.cli.calibration import FACTORS, FALSE_ALARMS, calibrate

PART = 0.2
"""Of the labels, wrong."""

CALIBRATED = "derivative, ridge by false alarms"
OWN = "derivative, the model's ridge"
LEAST = "derivative, ridge of least held-out error"
HELD_OUT = "held-out error, limit by false alarms"
NEIGHBOURS, LEARNING = "10 nearest neighbours", "confident learning"
K = 10
DRAWS = 3
FOLDS = 5


class Found(NamedTuple):
    """What a method says of all rows: the larger the likelier wrong, and which it calls wrong."""

    values: Floats
    called: NDArray[np.bool_]


@dataclass(frozen=True)
class Score:
    """How well wrong labels are told among rows that are not CORE."""

    auc: float
    f1: float


@dataclass(frozen=True)
class Detection:
    """One data set's: a score for each draw of wrong labels, and the ridges chosen in it."""

    rows: int
    ridge: float
    chosen: Mapping[str, Sequence[float]]
    scores: Mapping[str, Sequence[Score]]

    def mean(self, method: str) -> Score:
        """Over the draws."""
        scores = self.scores[method]
        return Score(*np.mean([(each.auc, each.f1) for each in scores], axis=0).tolist())


def measure(X: Floats, labels: Labels, classes: int, ridge: float) -> Detection:
    """Of features X (n, d) whose labels are right, under a model's usual ridge."""
    chosen: dict[str, list[float]] = {LEAST: [], CALIBRATED: []}
    scores: dict[str, list[Score]] = {}
    for seed in range(DRAWS):
        rows = Noisy.of(X, labels, classes, PART, seed)
        ridges, methods = find(rows, ridge)
        for name, lam in ridges.items():
            chosen[name].append(lam)
        for name, found in methods.items():
            scores.setdefault(name, []).append(_score(rows, found))
    return Detection(len(X), ridge, chosen, scores)


def find(rows: Noisy, ridge: float) -> tuple[Mapping[str, float], Mapping[str, Found]]:
    """By each method: the ridges chosen, and what is found."""
    fits = rows.seen_as_right
    derivatives = cache(fits.derivatives)
    least = min((factor * ridge for factor in FACTORS), key=fits.held_out_error)
    calibrated = calibrated_ridge(derivatives, rows.is_core, ridge)
    methods = {
        name: Found(derivatives(lam), derivatives(lam) > 0)
        for name, lam in ((OWN, ridge), (LEAST, least), (CALIBRATED, calibrated))
    }
    errors = fits.held_out_errors(least)
    limit = np.quantile(errors[rows.is_core], 1 - FALSE_ALARMS)
    methods[HELD_OUT] = Found(errors, errors > limit)
    disagreeing = _disagreeing(rows.X, rows.seen)
    methods[NEIGHBOURS] = Found(disagreeing, disagreeing > 0.5)
    methods[LEARNING] = _confident_learning(rows.X, rows.seen)
    return {LEAST: least, CALIBRATED: calibrated}, methods


def calibrated_ridge(
    derivatives: Callable[[float], Floats], is_core: NDArray[np.bool_], ridge: float
) -> float:
    """What `unlearn curate` chooses."""

    def values_under(lam: float) -> Sequence[Derivative]:
        pairs = zip(derivatives(lam), is_core, strict=True)
        return [Derivative(derivative=value, core=core) for value, core in pairs]

    return calibrate(values_under, ridge, 0.0)[0]


def _score(rows: Noisy, found: Found) -> Score:
    asked = ~rows.is_core
    is_wrong, values, called = rows.is_wrong[asked], found.values[asked], found.called[asked]
    return Score(float(roc_auc_score(is_wrong, values)), float(f1_score(is_wrong, called)))


def _disagreeing(X: Floats, seen: Labels) -> Floats:
    """The part of a row's neighbours (cosine) with another label."""
    near = NearestNeighbors(n_neighbors=K + 1, metric="cosine").fit(X)
    others = near.kneighbors(X, return_distance=False)[:, 1:]
    return np.asarray((seen[others] != seen[:, None]).mean(axis=1))


def _confident_learning(X: Floats, seen: Labels) -> Found:
    """By the rule of Northcutt et al., Confident Learning, JAIR 2021, section 3.1.

    Probabilities are of a logistic regression that did not see the row. A label is called wrong
    if another class is the likeliest of those that reach their mean self-confidence.
    """
    learner = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=100))
    p = cross_val_predict(learner, X, seen, cv=FOLDS, method="predict_proba")
    own = p[np.arange(len(p)), seen]
    thresholds = np.array([own[seen == c].mean() for c in range(p.shape[1])])
    confident = np.where(p >= thresholds, p, -1.0)
    is_counted = confident.max(axis=1) > 0
    return Found(1 - own, is_counted & (confident.argmax(axis=1) != seen))
