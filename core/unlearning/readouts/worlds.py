"""Many releases, and what the attacks look at in each.

What differs between them is what an attacker does not know. With noise that is the noise alone:
the retained rows are known, as the bound supposes, and nothing else hides what the noise must
hide. Without noise such a release is one point, and only over random retained rows does it have
a distribution: then each world keeps the CORE rows and a random half of the users'. A bound that
holds for each draw holds for all of them together, since the draw's outcome would only help.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unlearning.readouts.entropy import Threshold, softmax_entropy
from unlearning.readouts.lira import confidence
from unlearning.readouts.model import ModelUnderTest, Released, Rows, Samples


class Signals(NamedTuple):
    """What releases show of the k erased samples, shape (worlds, k) each.

    Attributes:
        member: 1 where the entropy attack calls the sample one that was trained on, else 0.
        confidence: the logit of the confidence in its label.
    """

    member: NDArray[np.float64]
    confidence: NDArray[np.float64]


class Shadows(NamedTuple):
    """Models of the attacker's own, by what they know of the erased samples."""

    knowing: Signals
    forgot: Signals
    never_knew: Signals


class Pairs(NamedTuple):
    """Models under attack: in each world one that forgot and one that never knew."""

    forgot: Signals
    never_knew: Signals


class Laboratory:
    """Makes releases and looks at them.

    Args:
        model: what is under test.
        samples: and on what.
        random: where all randomness comes from.
        progress: is told how many releases were made.
    """

    def __init__(
        self,
        model: ModelUnderTest,
        samples: Samples,
        random: np.random.Generator,
        progress: Callable[[int], None],
    ) -> None:
        self._model = model
        self._samples = samples
        self._random = random
        self._progress = progress
        self._made = 0

    def shadows(self, worlds: int, *, known: bool) -> Shadows:
        """Three releases in each world, of retained rows that are known or drawn."""
        observed = [
            (
                self._observe(self.train(np.concatenate([rows, self._samples.erased])), rows),
                self._observe(self.unlearn(rows), rows),
                self._observe(self.train(rows), rows),
            )
            for rows in self._worlds(worlds, known)
        ]
        return Shadows(*map(_stacked, zip(*observed, strict=True)))

    def pairs(self, worlds: int, *, known: bool) -> Pairs:
        """Two releases in each world, of retained rows that are known or drawn."""
        observed = [
            (self._observe(self.unlearn(rows), rows), self._observe(self.train(rows), rows))
            for rows in self._worlds(worlds, known)
        ]
        return Pairs(*map(_stacked, zip(*observed, strict=True)))

    def train(self, rows: Rows) -> Released:
        """A release of a model of these rows, with noise of its own."""
        return self._counted(self._model.train(rows, self._seed()))

    def unlearn(self, rows: Rows) -> Released:
        """A release of a model of these rows that was made to forget the erased ones."""
        return self._counted(self._model.unlearn(rows, self._samples.requests, self._seed()))

    def _counted(self, released: Released) -> Released:
        self._made += 1
        self._progress(self._made)
        return released

    def _worlds(self, worlds: int, known: bool) -> Iterator[Rows]:
        core, user = self._samples.core, self._samples.user
        drawn = len(user) if known else (len(user) + 1) // 2
        for _ in range(worlds):
            yield np.concatenate([core, self._random.choice(user, drawn, replace=False)])

    def _observe(self, released: Released, rows: Rows) -> tuple[NDArray[np.float64], ...]:
        samples, logits = self._samples, released(self._samples.erased)
        members, others = (softmax_entropy(released(part)) for part in (rows, samples.test))
        called = Threshold.best(members, others)(softmax_entropy(logits))
        return called.astype(np.float64), confidence(logits, samples.labels[samples.erased])

    def _seed(self) -> int:
        return int(self._random.integers(2**63))


def _stacked(observed: tuple[tuple[NDArray[np.float64], ...], ...]) -> Signals:
    return Signals(*map(np.stack, zip(*observed, strict=True)))
