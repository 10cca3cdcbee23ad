"""Consolidation: a student of two teachers beside them and beside a student of one."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from tests.benchmarks.pretraining.features import LAST_LAYER, Floats, Seen
from tests.benchmarks.pretraining.intervals import Mean
from tests.benchmarks.pretraining.plans import IMAGENET, LONE_STUDENTS, SPECIALISTS, STUDENTS
from tests.benchmarks.pretraining.sets import DIGITS, EVEN, FASHION, ODD, STAMPS, held
from unlearning.pretraining.selection import RIDGES, choose

GENERALIST, SPECIALIST = "generalist", "specialist"
BOTH, ALONE = "student of both", "student of the specialist"

TASKS = {
    f"{FASHION}, odd classes": (FASHION, (ODD,)),
    DIGITS: (DIGITS, (EVEN, ODD)),
    "stamps, odd topics": (STAMPS, (ODD,)),
}
"""None of these classes' labels was learned by anyone."""

RELATED = {FASHION: f"{FASHION}, odd classes"}


def compared(data: str) -> dict[str, str]:
    """The cores around a specialist of a data set."""
    return {
        BOTH: STUDENTS[data],
        ALONE: LONE_STUDENTS[data],
        SPECIALIST: SPECIALISTS[data],
        GENERALIST: IMAGENET,
    }


def measure(seen: Seen) -> dict[str, Any]:
    """By specialist and task: test accuracies, and how much the student of both is above."""
    return {data: {task: _measure(seen, data, task) for task in TASKS} for data in SPECIALISTS}


def _measure(seen: Seen, data: str, task: str) -> dict[str, Any]:
    right = {role: _right(seen, core, task) for role, core in compared(data).items()}
    return {
        "related": RELATED[data] == task,
        "tested": len(right[BOTH]),
        "accuracy": {role: float(each.mean()) for role, each in right.items()},
        "both minus": {
            role: asdict(Mean.of(right[BOTH] - each))
            for role, each in right.items()
            if role != BOTH
        },
    }


def _right(seen: Seen, core: str, task: str) -> NDArray[np.float64]:
    """Which test images a linear probe tells, as 0 and 1."""
    data, parities = TASKS[task]
    images = held(data)
    psi = seen.psi(core, data, LAST_LAYER)
    is_in = np.isin(images.labels % 2, parities)
    train, test = (part[is_in[part]] for part in (images.train, images.test))
    told = probe(psi[train], images.labels[train], psi[test])
    return (told == images.labels[test]).astype(np.float64)


def probe(psi: Floats, labels: NDArray[np.int64], asked: Floats) -> NDArray[np.int64]:
    """Classes by a ridge regression whose ridge has the least leave-one-out error."""
    ridge = choose({"": psi}, labels, (0.1, *RIDGES)).ridge
    return fitted(psi, labels, asked, (ridge,))[ridge]


def fitted(
    psi: Floats, labels: NDArray[np.int64], asked: Floats, ridges: Sequence[float]
) -> dict[float, NDArray[np.int64]]:
    """Classes by ridge regression, for each ridge, solved on the smaller side."""
    classes, places = np.unique(labels, return_inverse=True)
    X, Z = psi.astype(np.float64), asked.astype(np.float64)
    T = np.eye(len(classes))[places]
    if len(X) > X.shape[1]:
        S, V = eigh(X.T @ X)
        T = X.T @ T
    else:
        S, V = eigh(X @ X.T)
        Z = Z @ X.T
    Z, T = Z @ V, V.T @ T
    return {ridge: classes[(Z @ (T / (S + ridge)[:, None])).argmax(1)] for ridge in ridges}
