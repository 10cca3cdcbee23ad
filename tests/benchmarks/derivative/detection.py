"""Wrong labels found by the derivative, beside neighbours and confident learning."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.benchmarks.derivative.fits import Floats, Labels, Weighted, noisy

PART = 0.2
"""Of the labels, wrong."""

RIDGES = (100.0, 1000.0, 10_000.0, 100_000.0)
STRONG = 10_000.0
NEIGHBOURS = 10
FOLDS = 5


@dataclass(frozen=True)
class Score:
    """How well wrong labels are told; F1 is of what a method itself calls wrong."""

    auc: float
    f1: float


@dataclass(frozen=True)
class Detection:
    """One data set's."""

    rows: int
    chosen: float
    scores: Mapping[str, Score]


def measure(X: Floats, labels: Labels, classes: int, ridge: float, seed: int) -> Detection:
    """Of features X (n, d) whose labels are right, under a model's usual ridge."""
    rng = np.random.default_rng(seed)
    seen = noisy(labels, PART, classes, rng)
    is_wrong = seen != labels
    rows = Weighted.of(X, seen, classes)
    chosen = min(RIDGES, key=rows.held_out_error)

    def of(values: Floats, called: NDArray[np.bool_]) -> Score:
        return Score(float(roc_auc_score(is_wrong, values)), float(f1_score(is_wrong, called)))

    scores = {}
    for name, lam in (
        (f"derivative, ridge {ridge:g} (the model's)", ridge),
        (f"derivative, ridge {chosen:g} (least held-out error)", chosen),
        (f"derivative, ridge {STRONG:g}", STRONG),
    ):
        values = rows.derivatives(lam)
        scores[name] = of(values, values > 0)
    disagreeing = _disagreeing(X, seen)
    scores[f"{NEIGHBOURS} nearest neighbours"] = of(disagreeing, disagreeing > 0.5)
    scores["confident learning"] = of(*_confident_learning(X, seen))
    return Detection(len(X), chosen, scores)


def _disagreeing(X: Floats, seen: Labels) -> Floats:
    """The part of a row's neighbours (cosine) with another label."""
    near = NearestNeighbors(n_neighbors=NEIGHBOURS + 1, metric="cosine").fit(X)
    others = near.kneighbors(X, return_distance=False)[:, 1:]
    return np.asarray((seen[others] != seen[:, None]).mean(axis=1))


def _confident_learning(X: Floats, seen: Labels) -> tuple[Floats, NDArray[np.bool_]]:
    """Scores, and which labels are called wrong (Northcutt et al., JAIR 2021, section 3.1).

    Probabilities are of a logistic regression that did not see the row. A label is called wrong
    if another class is the likeliest of those that reach their mean self-confidence.
    """
    learner = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=100))
    p = cross_val_predict(learner, X, seen, cv=FOLDS, method="predict_proba")
    own = p[np.arange(len(p)), seen]
    thresholds = np.array([own[seen == c].mean() for c in range(p.shape[1])])
    confident = np.where(p >= thresholds, p, -1.0)
    is_counted = confident.max(axis=1) > 0
    return 1 - own, is_counted & (confident.argmax(axis=1) != seen)
