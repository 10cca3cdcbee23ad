"""One row deleted: the engine and its peers, on the same rows, in turn."""

from dataclasses import dataclass

from tests.benchmarks.certified_removal import CertifiedRemoval
from tests.benchmarks.data import Data
from tests.benchmarks.engine import Engine
from tests.benchmarks.peers import OnlineUpdate, RidgeRefit, Sisa, differences
from tests.benchmarks.timing import Prepared, Timed, in_turn

ROWS_COMPARED = 5_000
"""Enough to see that two rivals find the same optimum."""


@dataclass(frozen=True)
class Deletion:
    """Seconds of each rival, and how far from ours the weights of some are."""

    times: dict[str, Timed]
    differences: dict[str, float]


def measure(data: Data) -> Deletion:
    """Every rival deletes rows of its own copy of the model, from the first on."""
    engine = Engine(data)
    times = in_turn(
        {
            "engine": engine.erase,
            "refit": RidgeRefit(data).delete,
            "online": OnlineUpdate(data).delete,
            "sisa": Sisa(data).delete,
            "certified": Prepared(CertifiedRemoval(data).removal),
        }
    )
    engine.check()
    return Deletion(times, differences(data.head(ROWS_COMPARED)))


def beside_refit(data: Data) -> dict[str, Timed]:
    """The engine and Ridge alone."""
    engine = Engine(data)
    times = in_turn({"erase": engine.erase, "refit": RidgeRefit(data).delete})
    engine.check()
    return times
