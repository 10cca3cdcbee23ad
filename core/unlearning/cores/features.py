"""The adapter and the cores ``features:<d>``: no network, for features computed elsewhere.

The caller's rows are psi but for the constant 1. Whoever computed them answers for
what they were computed with: the guarantee covers the weights on top of them.
"""

import re
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from unlearning.cores._described import Described
from unlearning.cores.core import Core, Description, Input, Samples
from unlearning.cores.digest import core_digest
from unlearning.cores.head import check_head
from unlearning.cores.package import Installed, Package
from unlearning.errors import CoreError, InvalidInputError

MAX_FEATURES = 8191
"""With the constant 1, a Gram matrix of 8192 rows: half a gigabyte in float64."""

IDENTITY = "identity"


names = ("features:<d>",)


def installed(argument: str) -> Installed:
    """The core for rows of d features.

    Args:
        argument: d in decimal, between 1 and 8191.

    Raises:
        InvalidInputError: if d is not such a number.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,3}", argument) or int(argument) > MAX_FEATURES:
        raise InvalidInputError(
            "core",
            f"features:{argument} does not say how many features a row has",
            f"use features:<d> with d between 1 and {MAX_FEATURES}",
        )
    description: Description = {
        "architecture": "none: the caller's features, followed by the constant 1",
        "features": int(argument),
        "format": 1,
        "provenance": "no weights; the caller declares that what computed the features "
        "never needs forgetting",
    }
    digest = core_digest(description, {})
    return Installed(f"features:{argument}", description, digest, lambda: ({}, {}))


def load(package: Package) -> Core:
    """The core of a package; raises CoreError if it has weights, or more than 8191 features."""
    said = Described(package.name, package.description)
    if package.weights or package.files:
        raise CoreError(package.name, "features have no weights and no files", "leave them out")
    if said.whole("features") > MAX_FEATURES:
        said.refuse(f"has more than {MAX_FEATURES} features", "choose fewer")
    return FeaturesCore(package, said.whole("features"))


class FeaturesCore:
    """A ``Core`` whose psi is the sample itself, followed by 1.

    ``feature_bound`` and ``ridge`` suit features of about unit variance: entries beyond
    eight standard deviations are clipped, and the ridge outweighs a direction
    that ten samples have seen.
    """

    input: Input = "features"
    feature_map = IDENTITY
    feature_bound = 8.0
    ridge = 10.0
    tangent_scope = ""
    tangent_ridge = 0.0
    activation = ""
    classes: tuple[str, ...] = ()

    def __init__(self, package: Package, features: int) -> None:
        self.name, self.description = package.name, package.description
        self.digest = package.digest
        self._features = features

    def resolve(self, feature_map: str) -> str:
        """Returns ``identity``, the only map; the empty string names it too.

        Raises:
            InvalidInputError: for any other name.
        """
        if feature_map not in ("", IDENTITY):
            raise InvalidInputError(
                "user_weights.feature_map",
                f"{self.name} has no feature map {feature_map!r}",
                f"leave it empty or use {IDENTITY}",
            )
        return IDENTITY

    def width(self, feature_map: str) -> int:
        """Returns d + 1; raises InvalidInputError as ``resolve`` does."""
        self.resolve(feature_map)
        return self._features + 1

    def extract(
        self, feature_map: str, samples: Samples, head: Sequence[str] = ()
    ) -> NDArray[np.float32]:
        """Appends the constant 1 to each row.

        Args:
            feature_map: any name that ``resolve`` knows.
            samples: shape (n, d), float32 and finite.
            head: no class, since there is no head.

        Returns:
            Shape (n, d + 1), float32.

        Raises:
            InvalidInputError: for another map, for a head, and, with the row, for a row of another
                width or with an entry that is not finite.
        """
        self.resolve(feature_map)
        check_head(self, head)
        rows = self._matrix(samples)
        self._check_finite(rows)
        return np.hstack([rows, np.ones((len(rows), 1), np.float32)])

    def entrance(self, scope: str) -> NoReturn:
        """There is no network; raises InvalidInputError."""
        del scope
        raise InvalidInputError(
            "user_weights.parametrization",
            f"{self.name} has no network to linearise",
            "use FEATURES, or a core with a network",
        )

    def linearize(
        self, scope: str, classes: int, step: float, head: Sequence[str] = ()
    ) -> NoReturn:
        """There is no network; raises InvalidInputError."""
        del classes, step, head
        self.entrance(scope)

    def _matrix(self, samples: Samples) -> NDArray[np.float32]:
        fix = f"send rows of {self._features} float32 numbers"
        if not isinstance(samples, np.ndarray) or samples.ndim != 2:
            raise InvalidInputError("features", "these are not rows of features", fix)
        if samples.dtype != np.float32:
            raise InvalidInputError("features", f"the numbers are {samples.dtype}", fix)
        if samples.shape[1] != self._features:
            problem = f"a row has {samples.shape[1]} features"
            raise InvalidInputError("features", problem, fix, row=0)
        return samples

    @staticmethod
    def _check_finite(rows: NDArray[np.float32]) -> None:
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            raise InvalidInputError(
                "features",
                "a row holds a number that is not finite",
                "send finite numbers only",
                row=int(finite.argmin()),
            )
