"""Which core, layer or map suits a task, from the task's own few samples, in closed form.

The papers: CIDS has a selection algorithm for few-shot tasks whose details its abstract does not
give, and DIVA (Golatkar et al., ICLR 2022, eq. 3) what a linear model makes of each sample when it
is left out. Ours is to put the second in the place of the first, and by what to compare: of several
features of the same samples, take those, and the ridge, whose samples have the least log-loss when
they are left out, summed over two classifiers, ridge regression and the nearest class mean. The
second one, as few-shot learners have it, has less to overfit where samples are few. The squared
error that is fitted is no good guide: it counts how large a logit is, not whether it is the
largest. No sample is spent on validation, nothing is trained, and one eigendecomposition serves all
ridges. It costs O(n min(n, d)^2) for n samples of width d, on top of one pass of each network.

With X the rows psi', T = alpha * onehot(y) and a ridge lam, the residuals of the fits that lack a
row are

    r = e / (1 - h) = diag(H^-1)^-1 H^-1 T,   H = X X' + lam I,

the first with residuals e and leverages h of the fit of all rows, if X X' = V S V' is larger than
X' X (n > d), and the second if it is not. With c the cosines of a row and the means of classes that
lack it, around the mean of all, the log-loss is the mean of

    -log softmax(10 (T - r) / alpha)_y - log softmax(5 c)_y.

The samples must be CORE rows, or users' rows as of one release: a choice is something learned from
them. A class of a single sample is refused, since a fit that lacks it cannot know of it: with one
shot there is nothing to choose by.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from scipy.special import log_softmax

from unlearning.errors import InvalidInputError
from unlearning.leave_one_out import held_out_error
from unlearning.objective import DEFAULT_LABEL_SCALE

RIDGES = (1.0, 10.0, 100.0, 1000.0)
"""Of psi whose entries are of order 1, as a core's are."""

_OF_LOGITS, _OF_COSINES = 10.0, 5.0
"""Factors in front of the softmax: what chose best on classes that were used for nothing else."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """How well samples are told when they are left out.

    Attributes:
        log_loss: the mean, summed over both classifiers, in nats.
        error: of the ridge regression, the mean of ||r||^2, in squared target units.
        accuracy: of it too, the part whose class has the largest logit, the first of equals.
    """

    log_loss: float
    error: float
    accuracy: float


@dataclass(frozen=True)
class Choice:
    """What has the least log-loss on samples that are left out.

    Attributes:
        features: its name.
        ridge: lam, in real units.
        scores: of all that there was to choose from, by name and ridge.
    """

    features: str
    ridge: float
    scores: Mapping[tuple[str, float], Score]

    @property
    def score(self) -> Score:
        """The chosen one's."""
        return self.scores[self.features, self.ridge]


def choose(
    features: Mapping[str, NDArray[np.floating]],
    labels: ArrayLike,
    ridges: Sequence[float] = RIDGES,
) -> Choice:
    """Compares features of the same samples, those of several cores or maps.

    Args:
        features: psi of each, shape (n, d), ending in 1, by name.
        labels: classes, shape (n,).
        ridges: to try with each.

    Raises:
        InvalidInputError: if there is nothing to choose from, or a class has a single sample.
    """
    if not features or not ridges:
        raise InvalidInputError("features", "there is nothing to choose from", "give some")
    targets = targets_of(labels)
    scores = {
        (name, ridge): score
        for name, psi in features.items()
        for ridge, score in _scores(psi, targets, ridges)
    }
    name, ridge = min(scores, key=lambda option: scores[option].log_loss)
    return Choice(name, ridge, scores)


def _scores(
    psi: NDArray[np.floating], targets: _Floats, ridges: Sequence[float]
) -> Iterator[tuple[float, Score]]:
    y = targets.argmax(1)
    of_means = _log_loss(_OF_COSINES * leave_one_out_cosines(psi, y), y)
    for ridge, r in leave_one_out_residuals(psi, targets, ridges):
        of_ridge = _log_loss(_OF_LOGITS / DEFAULT_LABEL_SCALE * (targets - r), y)
        held_out = held_out_error([(r, targets)])
        yield ridge, Score(of_ridge + of_means, held_out.error, held_out.accuracy)


def _log_loss(logits: _Floats, y: NDArray[np.intp]) -> float:
    return -float(log_softmax(logits, axis=1)[np.arange(len(y)), y].mean())


def targets_of(labels: ArrayLike) -> _Floats:
    """The rows alpha * onehot of the classes that there are, shape (n, C).

    Raises:
        InvalidInputError: if a class has a single sample, or there is no sample.
    """
    classes, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if not len(classes) or counts.min() < 2:
        problem = "a class has a single sample, so that nothing is known of it without"
        raise InvalidInputError("labels", problem, "give two or more of each class")
    return DEFAULT_LABEL_SCALE * np.eye(len(classes))[places]


def leave_one_out_residuals(
    psi: NDArray[np.floating], targets: _Floats, ridges: Sequence[float]
) -> Iterator[tuple[float, _Floats]]:
    """For each ridge, above 0, the residuals r, shape (n, C)."""
    X = np.asarray(psi, np.float64)
    if len(X) > X.shape[1]:
        S, V = eigh(X.T @ X)
        Z = X @ V
        ZT = Z.T @ targets
        for ridge in ridges:
            h = np.square(Z) @ (1 / (S + ridge))
            yield ridge, (targets - Z @ (ZT / (S + ridge)[:, None])) / (1 - h)[:, None]
        return
    S, V = eigh(X @ X.T)
    VT = V.T @ targets
    for ridge in ridges:
        diagonal = np.square(V) @ (1 / (S + ridge))
        yield ridge, V @ (VT / (S + ridge)[:, None]) / diagonal[:, None]


def leave_one_out_cosines(psi: NDArray[np.floating], y: NDArray[np.intp]) -> _Floats:
    """Of each row and the means of classes that lack it, around the mean of all, shape (n, C).

    Args:
        psi: shape (n, d).
        y: the place of each row's class, of two rows or more each, shape (n,).
    """
    X = np.asarray(psi, np.float64)
    U = _unit(X - X.mean(0))
    is_own = np.eye(y.max() + 1, dtype=np.bool_)[y]
    sums: _Floats = is_own.T @ U
    cosines: _Floats = U @ _unit(sums).T
    cosines[is_own] = (U * _unit(sums[y] - U)).sum(1)
    return cosines


def _unit(rows: _Floats) -> _Floats:
    """Of length 1, or 0 where there is no direction."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0))
