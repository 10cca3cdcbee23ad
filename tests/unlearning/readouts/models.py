"""Digits that a model memorises, and models that forget them well or badly."""

from collections.abc import Sequence

import numpy as np
from sklearn.datasets import load_digits

from unlearning.cores import load
from unlearning.forgetting import MixedPrivacyModel
from unlearning.objective import DEFAULT_LABEL_SCALE, Objective
from unlearning.readouts.exact import ExactModel
from unlearning.readouts.model import Floats, Released, Rows, Samples

CLASSES = 10
ROWS, ERASED, TEST = 200, 10, 100


def digits(
    rows: int = ROWS, test: int = TEST, core: int = 20, ridge: float = 0.1, classes: int = CLASSES
) -> ExactModel:
    """Scikit-learn's in their order: few rows and a small ridge, so that each is remembered.

    Gray levels 0 to 16 are shifted and scaled by constants to about unit variance.
    """
    pixels, labels = load_digits(return_X_y=True)
    features = load("features:64")
    objective = Objective.create(
        core_digest=features.digest,
        feature_map=features.feature_map,
        width=features.width(features.feature_map),
        feature_bound=features.feature_bound,
        ridge=ridge,
        label_scale=DEFAULT_LABEL_SCALE,
        classes=tuple(f"digit {c}" for c in range(classes)),
    )
    n = rows + test
    psi = features.extract("", ((pixels[:n] - 8) / 4).astype(np.float32))
    lattice = objective.features.round(psi).astype(np.int16)
    return ExactModel(objective, lattice, labels[:n] % classes, np.arange(n) < core)


def samples(model: ExactModel, requests: int = 1) -> Samples:
    """The last rows are to be forgotten."""
    erased = np.array_split(np.arange(ROWS - ERASED, ROWS), requests)
    return Samples.of(model.labels, model.is_core, erased, np.arange(ROWS, ROWS + TEST))


class NotForgetting(ExactModel):
    """Erases a share of what it is asked to, the first rows of each request."""

    share = 0.0

    def unlearn(self, rows: Rows, requests: Sequence[Rows], seed: int, /) -> Released:
        kept = [request[int(self.share * len(request)) :] for request in requests]
        return self.train(np.concatenate([rows, *kept]), seed)


class HalfForgetting(NotForgetting):
    share = 0.5


class OverForgetting(ExactModel):
    """Teaches itself other labels, so as to look very ignorant."""

    def unlearn(self, rows: Rows, requests: Sequence[Rows], _seed: int, /) -> Released:
        model, erased = self.fitted(rows), np.concatenate(requests)
        wrong = (self.labels[erased] + 1) % CLASSES
        model.add(self.entries[erased], wrong, np.zeros(len(erased), np.bool_))
        return self.release(model)


class Noisy(ExactModel):
    """Keeps a trace of the erased rows mu standard deviations of its noise long."""

    mu = 0.0
    sigma = 0.02

    def train(self, rows: Rows, seed: int, /) -> Released:
        return self._noised(self._weights(self.fitted(rows)), seed)

    def unlearn(self, rows: Rows, requests: Sequence[Rows], seed: int, /) -> Released:
        weights = self._weights(self.fitted(rows))
        erased = np.concatenate(requests)
        errors = self.targets(erased) - self._logits(erased, weights)
        trace = self.entries[erased].T @ errors
        return self._noised(weights + self.mu * self.sigma * trace / np.linalg.norm(trace), seed)

    def _weights(self, model: MixedPrivacyModel) -> Floats:
        return self.objective.weights(model.solve().weights)

    def _noised(self, weights: Floats, seed: int) -> Released:
        noise = np.random.default_rng(seed).normal(0, self.sigma, weights.shape)
        return lambda rows: self._logits(rows, weights + noise)

    def _logits(self, rows: Rows, weights: Floats) -> Floats:
        return self.objective.logits(self.entries[rows], weights)
