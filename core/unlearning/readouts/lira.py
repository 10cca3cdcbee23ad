"""Likelihood-ratio attacks from shadow models (Carlini et al., S&P 2022, section V).

A sample's signal is the logit of the confidence in its label, Gaussian over models to a good
approximation; each sample has Gaussians of its own. LiRA weighs models that hold the sample
against models that do not, as if nobody had forgotten; U-LiRA weighs models that were made
to forget it against models that never held it (Kurmanji et al., NeurIPS 2023; Hayes et al.,
Inexact unlearning needs more careful evaluations, 2024).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from unlearning.readouts.model import Floats

_RESOLUTION = float(np.finfo(np.float32).eps)
"""Of logits: where shadows do not differ at all, others are not told apart by less."""


def confidence(logits: Floats, labels: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """log(p / (1 - p)), shape (n,), for the softmax p of the label in logits (n, C), C > 1."""
    others = logits.astype(np.float64)
    rows = np.arange(len(labels))
    own = others[rows, labels]
    others[rows, labels] = -np.inf
    return np.asarray(own - logsumexp(others, axis=1))


def log_likelihood_ratio(signals: Floats, inside: Floats, outside: Floats) -> NDArray[np.float64]:
    """Of each sample, log N(signal; inside) - log N(signal; outside), shape (k, n).

    Args:
        signals: of k models, shape (k, n).
        inside: of at least two shadow models, shape (m, n).
        outside: of at least two others.
    """
    return _log_density(signals, inside) - _log_density(signals, outside)


def _log_density(signals: Floats, shadows: Floats) -> NDArray[np.float64]:
    """Up to a constant."""
    mean = shadows.mean(axis=0)
    spread = np.maximum(shadows.std(axis=0, ddof=1), _RESOLUTION * (1 + np.abs(mean)))
    return np.asarray(-0.5 * ((signals - mean) / spread) ** 2 - np.log(spread))
