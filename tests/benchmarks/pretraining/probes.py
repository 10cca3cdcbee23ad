"""Consolidation: a student of two teachers beside them and beside a student of one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from tests.benchmarks.pretraining import few_shot
from tests.benchmarks.pretraining.features import LAST_LAYER, Floats, Seen
from tests.benchmarks.pretraining.intervals import Mean
from tests.benchmarks.pretraining.plans import (
    IMAGENET,
    LONE_STUDENTS,
    SPECIALISTS,
    STUDENTS,
    trainings,
)
from tests.benchmarks.pretraining.sets import DIGITS, EVEN, FASHION, ODD, STAMPS, Held, held
from unlearning.pretraining.selection import RIDGES, choose

GENERALIST, SPECIALIST = "generalist", "specialist"
BOTH, ALONE = "student of both", "student of the specialist"

TASKS = {
    f"{FASHION}, odd classes": (FASHION, (ODD,)),
    DIGITS: (DIGITS, (EVEN, ODD)),
    "stamps, odd topics": (STAMPS, (ODD,)),
}
"""None of these classes' labels was learned by anyone."""

SHOTS = 5
LINEAR, FEW_SHOT = "linear probe", f"{SHOTS}-shot episodes"


def compared(data: str) -> dict[str, str]:
    """The cores around a specialist of a data set."""
    return {
        BOTH: STUDENTS[data],
        ALONE: LONE_STUDENTS[data],
        SPECIALIST: SPECIALISTS[data],
        GENERALIST: IMAGENET,
    }


def measure(seen: Seen) -> dict[str, Any]:
    """By specialist, task and judge: accuracies, and how much the student of both is above."""
    return {
        data: {
            task: {judge: _measure(seen, data, task, judge) for judge in JUDGES} for task in TASKS
        }
        for data in SPECIALISTS
    }


def is_related(specialist: str, task: str) -> bool:
    """Whether a task is of the specialist's own data set, if of other classes."""
    return TASKS[task][0] == specialist


def _measure(seen: Seen, specialist: str, task: str, judge: str) -> dict[str, Any]:
    data, parities = TASKS[task]
    values = {
        role: np.array(
            [
                JUDGES[judge](seen.psi(each, data, LAST_LAYER), held(data), parities)
                for each in trainings(core)
            ]
        )
        for role, core in compared(specialist).items()
    }
    return {
        "accuracy": {role: asdict(Mean.of(each)) for role, each in values.items()},
        "both minus": {
            role: asdict(Mean.of(values[BOTH] - each))
            for role, each in values.items()
            if role != BOTH
        },
    }


def _probed(psi: Floats, images: Held, parities: Sequence[int]) -> NDArray[np.float64]:
    """Which test images a linear probe tells, as 0 and 1."""
    train, test = images.parts(parities)
    told = probe(psi[train], images.labels[train], psi[test])
    return (told == images.labels[test]).astype(np.float64)


def _in_episodes(psi: Floats, images: Held, parities: Sequence[int]) -> NDArray[np.float64]:
    return few_shot.accuracies(psi, images, parities, SHOTS)


JUDGES: Mapping[str, Callable[[Floats, Held, Sequence[int]], NDArray[np.float64]]] = {
    LINEAR: _probed,
    FEW_SHOT: _in_episodes,
}
"""Each gives what the same images or episodes come to with some features."""


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
