"""What the read-outs need of a model, whatever it is and however it forgets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from unlearning.errors import InvalidInputError

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.intp]
"""Indices of samples, shape (k,)."""

Released = Callable[[Rows], Floats]
"""A release, as the world sees it: logits (k, C) of samples."""


class ModelUnderTest(Protocol):
    """Trains, and forgets, as often as it is asked to.

    A release's noise is drawn anew for each seed; a model without noise need not look at it.
    """

    def train(self, rows: Rows, seed: int, /) -> Released:
        """Releases a model of these rows alone."""
        ...

    def unlearn(self, rows: Rows, requests: Sequence[Rows], seed: int, /) -> Released:
        """Trains on all of the rows and is asked, in order, to forget ``requests``.

        There is a release before the first request and after each; the last is returned.
        """
        ...

    def targets(self, rows: Rows, /) -> Floats:
        """What the logits of the rows are fitted to, shape (k, C)."""
        ...

    def kernel(self, rows: Rows, /) -> Callable[[Floats], Floats]:
        """The product with J J', (k, C) to (k, C), J the Jacobian of the rows' logits."""
        ...


@dataclass(frozen=True)
class Samples:
    """All samples, and what becomes of them.

    Attributes:
        labels: class index of each, shape (n,).
        core: rows that no request can name.
        user: rows of users that stay.
        requests: rows to forget, request by request.
        test: rows that nothing is ever trained on.
    """

    labels: NDArray[np.integer[Any]]
    core: Rows
    user: Rows
    requests: tuple[Rows, ...]
    test: Rows

    @classmethod
    def of(
        cls,
        labels: NDArray[np.integer[Any]],
        is_core: NDArray[np.bool_],
        requests: Sequence[Rows],
        test: Rows,
    ) -> Self:
        """All that is neither to be forgotten nor a test sample stays.

        Raises InvalidInputError for parts that cannot be used, or a request for a CORE row.
        """
        stays = np.ones(len(labels), np.bool_)
        stays[np.concatenate([test, *requests])] = False
        if any(is_core[request].any() for request in requests):
            raise InvalidInputError("erased", "a row is CORE", "erase rows of users only")
        core, user = (np.flatnonzero(stays & kind) for kind in (is_core, ~is_core))
        return cls(labels, core, user, tuple(requests), test)

    def __post_init__(self) -> None:
        """Raises InvalidInputError for a part that is too small, or a row in two of them."""
        least = {"erased": 1, "retained": 2, "test": 2}
        for part, rows in self.parts.items():
            if len(rows) < least[part]:
                raise InvalidInputError(
                    part, f"{len(rows)} rows", f"name at least {least[part]} for the read-outs"
                )
        rows = np.concatenate(list(self.parts.values()))
        if len(np.unique(rows)) < len(rows):
            raise InvalidInputError(
                "rows", "one is named twice", "erase, retain or test each row once"
            )

    @property
    def parts(self) -> dict[str, Rows]:
        """The rows that models are compared on."""
        return {"erased": self.erased, "retained": self.retained, "test": self.test}

    @property
    def erased(self) -> Rows:
        """All rows to forget."""
        return np.concatenate([np.empty(0, np.intp), *self.requests])

    @property
    def retained(self) -> Rows:
        """All rows that stay."""
        return np.concatenate([self.core, self.user])
