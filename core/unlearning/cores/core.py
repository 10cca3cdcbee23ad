"""What a core offers, whichever adapter it is computed by."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from unlearning.linearized import Linearization

Description = Mapping[str, object]
"""What a core is, as JSON values; part of its digest."""

Input = Literal["image", "features", "text"]

Samples = Sequence[bytes] | Sequence[str] | NDArray[np.float32]
"""Encoded images, or texts, or rows of features (n, d): what ``Input`` says."""


class Core(Protocol):
    """A function psi of a sample that no user's data ever touched.

    Attributes:
        name: as it was asked for.
        description: architecture, preprocessing, scales, provenance.
        digest: SHA-256 over description and weights, in hex (see ``core_digest``).
        input: what it takes: encoded images, texts, or features computed elsewhere.
        feature_map, feature_bound, ridge: defaults, in real units.
        tangent_scope, tangent_ridge: defaults of TANGENT; empty and 0 for a core without it.
        activation: that the network was trained with.
        classes: of its own head, by output; empty for a core without one (see ``head``).
    """

    name: str
    description: Description
    digest: str
    input: Input
    feature_map: str
    feature_bound: float
    ridge: float
    tangent_scope: str
    tangent_ridge: float
    activation: str
    classes: tuple[str, ...]

    def resolve(self, feature_map: str) -> str:
        """The canonical name of a feature map; raises InvalidInputError if there is none."""
        ...

    def width(self, feature_map: str) -> int:
        """The number of features d, counting the constant 1 that ends each row."""
        ...

    def extract(
        self, feature_map: str, samples: Samples, head: Sequence[str] = ()
    ) -> NDArray[np.float32]:
        """Computes psi, shape (n, d): scaled by constants of the core, ending in 1.

        Behind it, shape (n, d + C), come the logits of the C classes of the core's head that are
        asked for. A row depends on its own sample only, not on its neighbours or its place.
        Raises InvalidInputError for a class that it has not, and, with the row, for a sample it
        cannot read.
        """
        ...

    def entrance(self, scope: str) -> str:
        """The feature map of what is in front of the weights of a tangent scope.

        Raises InvalidInputError for a scope that names no weights, or if it offers no TANGENT.
        """
        ...

    def linearize(
        self, scope: str, classes: int, step: float, head: Sequence[str] = ()
    ) -> Linearization:
        """J over the weights of a scope and of a classifier, for rows in units of ``step``.

        The classifier is the part of the core's head for these classes, all C of them, or, for
        none, one that the core makes up.
        """
        ...
