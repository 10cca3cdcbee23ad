"""What each core makes of each data set's images, kept on disk."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.pretraining.making import load
from tests.benchmarks.pretraining.plans import EVERY_PLAN, POOLED
from tests.benchmarks.pretraining.sets import Held, held
from unlearning.cores import Core

KINDS = LAST_LAYER, DEFAULT = "last layer", "default map"

Floats = NDArray[np.float32]


class Seen:
    """The held images as the cores in a folder see them."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self.core = cache(lambda name: load(runs, name))

    def feature_map(self, core: str, kind: str) -> str:
        """The canonical name of one of the two maps of a core."""
        found: Core = self.core(core)
        return found.resolve(POOLED[EVERY_PLAN[core].encoder] if kind == LAST_LAYER else "")

    def psi(self, core: str, data: str, kind: str) -> Floats:
        """Rows ending in 1, shape (n, d), of all images that are held of a data set."""
        found: Core = self.core(core)
        both = found.resolve("+".join(self.feature_map(core, each) for each in KINDS))
        entries, chosen = both.split("+"), self.feature_map(core, kind).split("+")
        widths = [found.width(entry) - 1 for entry in entries]
        columns = np.repeat([entry in chosen for entry in entries], widths)
        return self._extracted(core, data, both)[:, np.append(columns, True)]

    def _extracted(self, core: str, data: str, feature_map: str) -> Floats:
        file = self._runs / "features" / f"{core}.{data}.npy"
        if not file.exists():
            images: Held = held(data)
            file.parent.mkdir(exist_ok=True)
            found: Core = self.core(core)
            np.save(file, found.extract(feature_map, images.encoded))
        return np.asarray(np.load(file), np.float32)
