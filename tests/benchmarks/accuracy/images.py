"""A data set's images as learners take them: stored rows, or pixels."""

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.datasets import Dataset, Indices
from unlearning.cores import Core
from unlearning.cores._image import decode
from unlearning.lattice import feature_lattice

ROWS_AT_ONCE = 1024


class Images:
    """A data set's images, each sent through the network once.

    Attributes:
        dataset: theirs.
        core: whose features they have.
    """

    def __init__(
        self, dataset: Dataset, core: Core, feature_maps: tuple[str, ...], used: Indices
    ) -> None:
        """Extracts the features of all the maps, of the images that are used."""
        self.dataset, self.core = dataset, core
        self._lattice = feature_lattice(core.feature_bound)
        resolved = core.resolve("+".join(_entries(core, feature_maps)))
        self._columns: dict[str, slice] = {}
        start = 0
        for entry in resolved.split("+"):
            self._columns[entry] = slice(start, start := start + core.width(entry) - 1)
        self._place = np.zeros(len(dataset.encoded), np.int64)
        self._place[used] = np.arange(len(used))
        self._psi = self._extract(resolved, used)

    def psi(self, feature_map: str, indices: Indices) -> NDArray[np.int16]:
        """Lattice rows, shape (n, d), of a map whose entries were all extracted."""
        entries = self.core.resolve(feature_map).split("+")
        places = self._place[indices]
        parts = [self._psi[places, self._columns[entry]] for entry in entries]
        return np.concatenate([*parts, self._psi[places, -1:]], axis=1)

    def features(self, feature_map: str, indices: Indices) -> NDArray[np.float64]:
        """The same rows in real units, exactly."""
        return self.psi(feature_map, indices) * np.float64(self._lattice.step)

    def pixels(self, indices: Indices) -> NDArray[np.uint8]:
        """What the network sees, shape (n, 96, 96, 3), RGB."""
        encoded = self.dataset.encoded
        return np.stack([decode(encoded[i], 96, row) for row, i in enumerate(indices)])

    def _extract(self, feature_map: str, indices: Indices) -> NDArray[np.int16]:
        psi = np.empty((len(indices), self.core.width(feature_map)), np.int16)
        for start in range(0, len(indices), ROWS_AT_ONCE):
            here = slice(start, start + ROWS_AT_ONCE)
            encoded = [self.dataset.encoded[i] for i in indices[here]]
            psi[here] = self._lattice.round(self.core.extract(feature_map, encoded))
        return psi


def _entries(core: Core, feature_maps: tuple[str, ...]) -> set[str]:
    return {entry for name in feature_maps for entry in core.resolve(name).split("+")}
