"""How the tests of the exact engine make its inputs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from unlearning.gram import GramMatrix, Limb
from unlearning.objective import Objective
from unlearning.statistics import Statistics

Rows = list[list[int]] | NDArray[np.integer[Any]]


@pytest.fixture(scope="session")
def gram_of() -> Callable[[Any], GramMatrix]:
    """A Gram matrix of the integers of a lower triangle, in one limb of the least norm."""

    def make(lower: Any) -> GramMatrix:
        entries = np.tril(np.asarray(lower)).astype(np.int64)
        magnitudes = np.abs(entries).astype(object)
        rows = (magnitudes + np.tril(magnitudes, -1).T).sum(axis=1)
        made = GramMatrix(len(entries))
        made._fine = Limb(np.asfortranarray(entries, np.float64), 0, int(rows.max()))
        made.diagonal[:] = entries.diagonal()
        return made

    return make


@pytest.fixture(scope="session")
def objective_of() -> Callable[..., Objective]:
    """An objective in real units, whose fields can be overridden."""

    def make(width: int = 3, classes: int | tuple[str, ...] = 2, **overrides: Any) -> Objective:
        if isinstance(classes, int):
            classes = tuple(f"class {c}" for c in range(classes))
        values: dict[str, Any] = {
            "core_digest": "0f" * 32,
            "feature_map": "pooled",
            "width": width,
            "feature_bound": 1.0,
            "ridge": 1.0,
            "label_scale": 15.0,
            "classes": classes,
        }
        return Objective.create(**{**values, **overrides})

    return make


@pytest.fixture(scope="session")
def statistics_of() -> Callable[..., Statistics]:
    """Statistics of lattice rows, each held ``copies`` times."""

    def make(psi: Rows, t: Rows, ridge: int, copies: int = 1) -> Statistics:
        psi, t = np.asarray(psi, np.int64), np.asarray(t, np.int64)
        made = Statistics(psi.shape[1], t.shape[1], ridge)
        power = made.copy()
        power.add(psi, t)
        while copies:
            if copies & 1:
                made.merge(power)
            power.merge(power.copy())
            copies >>= 1
        return made

    return make


@pytest.fixture(scope="session")
def bits() -> Callable[[Statistics], tuple[Any, ...]]:
    """Everything that statistics hold, to the last bit."""

    def read(statistics: Statistics) -> tuple[Any, ...]:
        G = np.tril(statistics.G.entries())
        arrays = (G, statistics.B, statistics.target_squares)
        return (statistics.ridge, statistics.n, *(array.tobytes() for array in arrays))

    return read
