"""The mixed-privacy paper's attack: is the softmax as sure as of samples trained on?

Golatkar et al. (CVPR 2021, section 5) fit a support vector machine to the entropies of
retained and of test samples, and ask it about the erased. Of one feature a linear one is a
threshold, for which the hinge loss stands in: here it is the best threshold itself, the most
that such a machine can reach.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, softmax

from unlearning.readouts.model import Floats

FOLDS = 5


def softmax_entropy(logits: Floats) -> NDArray[np.float64]:
    """Entropy in nats, shape (n,), of the softmax of logits (n, C)."""
    entropies: NDArray[np.float64] = entr(softmax(logits.astype(np.float64), axis=1)).sum(axis=1)
    return entropies


@dataclass(frozen=True)
class Threshold:
    """Calls a value positive on one side of ``at``."""

    at: float
    above: bool

    @classmethod
    def best(cls, positive: Floats, negative: Floats) -> "Threshold":
        """The one of the highest balanced accuracy on values (m,) and (n,), m and n positive."""
        values = np.concatenate([positive, negative])
        order = np.argsort(values, kind="stable")
        weights = np.repeat([1 / len(positive), -1 / len(negative)], [len(positive), len(negative)])
        advantage = np.cumsum(weights[order])  # of calling positive what is not above
        values = values[order]
        advantage[:-1][values[1:] == values[:-1]] = 0.0  # no threshold parts equals
        cut = int(np.abs(advantage).argmax())
        return cls(float(values[cut : cut + 2].mean()), bool(advantage[cut] < 0))

    def __call__(self, values: Floats) -> NDArray[np.bool_]:
        """Whether each is called positive."""
        return np.asarray(values > self.at if self.above else values <= self.at)


def held_out(positive: Floats, negative: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each value is called positive by the best threshold for the other folds.

    Shapes (m,) and (n,) as given; both at least 2.
    """
    called = np.zeros(len(positive), np.bool_), np.zeros(len(negative), np.bool_)
    for k in range(FOLDS):
        fold = np.s_[k::FOLDS]
        threshold = Threshold.best(np.delete(positive, fold), np.delete(negative, fold))
        called[0][fold], called[1][fold] = threshold(positive[fold]), threshold(negative[fold])
    return called
