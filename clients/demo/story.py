"""What the demo does, step by step, and what each step must show to count."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

import numpy as np
from digits import CLASSES, DigitSet
from narrator import Narrator
from numpy.typing import NDArray

from unlearn.v1 import erasure_pb2
from unlearn.v1.erasure_pb2 import Erasure, Outcome
from unlearn.v1.model_pb2 import Release, Sample
from unlearn_client import Client, Selection

Result = TypeVar("Result")

CORE = "efficientnet-lite0"
SERVED = "digits"
RETRAINED = "digits-without-them"

SALT = bytes(range(32))
"""Commitments can be compared under one salt only. In earnest it is random and secret; here
it is always the same, so that the demo prints the same commitments again."""


@dataclass(frozen=True)
class Claim:
    """One thing that must be true, and whether it is."""

    words: str
    holds: bool


@dataclass(frozen=True)
class Look:
    """A model at one moment: what it holds, what it serves and what it answers.

    Attributes:
        samples: how many it holds.
        consistent: whether, recomputed from them, it comes out as it is served.
        state, weights: commitments to its exact statistics and to its weights.
        unseen, erased: its scores (n, 10) for the unseen digits and for the forgotten ones.
        hits: how many of the unseen digits it reads right.
    """

    samples: int
    consistent: bool
    state: bytes
    weights: bytes
    unseen: NDArray[np.float32]
    erased: NDArray[np.float32]
    hits: int


@dataclass(frozen=True)
class Step:
    """Something done to a model, how long it took, how it looks then, and what that shows."""

    title: str
    seconds: float
    look: Look
    claims: Sequence[Claim]


@dataclass(frozen=True)
class Story:
    """All steps, and what the erasure of three people does not protect from.

    Attributes:
        differencing: mu-GDP against one who holds the releases before and after.
        cohort: the people by whom those two differ.
    """

    steps: Sequence[Step]
    differencing: float
    cohort: int

    @property
    def failed(self) -> Sequence[Claim]:
        """The claims that do not hold."""
        return [claim for step in self.steps for claim in step.claims if not claim.holds]


class Storyteller:
    """Tells the story to a server; each step is told what the steps before it saw."""

    def __init__(self, client: Client, digits: DigitSet, narrator: Narrator) -> None:
        self._client = client
        self._digits = digits
        self._narrator = narrator

    def tell(self) -> Story:
        """Does everything; raises ``UnlearnError`` where the server refuses."""
        learnt = self._learn()
        forgot, outcome = self._forget_three(learnt)
        retrained = self._retrain(forgot)
        zeroed = self._forget_all()
        exact = self._forget_all_exactly(zeroed)
        return Story(
            steps=[learnt, forgot, retrained, zeroed, exact],
            differencing=outcome.bound.differencing_gaussian_dp,
            cohort=outcome.bound.cohort,
        )

    def _learn(self) -> Step:
        samples = [*self._digits.core, *self._digits.users]
        seconds, release = self._teach(SERVED, samples, "Learning from everyone")
        look = self._look(SERVED)
        claims = [_rounded(release), _recomputed(look, len(samples))]
        return Step("Learn from everyone", seconds, look, claims)

    def _forget_three(self, learnt: Step) -> tuple[Step, Outcome]:
        people = Selection.subjects(self._digits.forgotten)
        seconds, outcome = self._erase(SERVED, people, Erasure.EXACT, "Forgetting three people")
        look = self._look(SERVED)
        different = Claim("weights different from 1", look.weights != learnt.look.weights)
        count = learnt.look.samples - len(self._digits.erased)
        claims = [different, self._destroyed(outcome), _nothing_left(outcome), _rounded(outcome)]
        claims.append(_recomputed(look, count))
        return Step("Forget three people (30 images)", seconds, look, claims), outcome

    def _retrain(self, forgot: Step) -> Step:
        samples = self._digits.remaining
        seconds, _ = self._teach(RETRAINED, samples, "Learning anew without them")
        look = self._look(RETRAINED)
        claims = [*_identical(look, forgot.look, "2"), _recomputed(look, len(samples))]
        return Step("Retrain: a new model without them, in another order", seconds, look, claims)

    def _forget_all(self) -> Step:
        seconds, outcome = self._erase(
            SERVED, Selection.all_user_data(), Erasure.ZERO, "Forgetting everyone"
        )
        look = self._look(SERVED)
        claims = [
            _nothing_left(outcome),
            _rounded(outcome),
            _recomputed(look, len(self._digits.core)),
        ]
        return Step("Forget every user at once (ZERO)", seconds, look, claims)

    def _forget_all_exactly(self, zeroed: Step) -> Step:
        seconds, outcome = self._erase(
            RETRAINED, Selection.all_user_data(), Erasure.EXACT, "Forgetting everyone one by one"
        )
        look = self._look(RETRAINED)
        claims = [*_identical(look, zeroed.look, "4"), _rounded(outcome)]
        claims.append(_recomputed(look, len(self._digits.core)))
        return Step("Forget every user of the new model one by one (EXACT)", seconds, look, claims)

    def _teach(self, model: str, samples: Sequence[Sample], doing: str) -> tuple[float, Release]:
        """A new model that serves what these samples teach, and the seconds it took."""
        self._client.create_model(model, CORE, CLASSES)
        with self._narrator.doing(doing, len(samples)) as so_far:

            def learn() -> Release:
                self._client.add_samples(model, samples, so_far)
                return self._client.create_release(model)

            return _timed(learn)

    def _erase(
        self,
        model: str,
        selection: erasure_pb2.Selection,
        method: Erasure.Method.ValueType,
        doing: str,
    ) -> tuple[float, Outcome]:
        """The outcome of an erasure that was carried out, and the seconds from asking to it."""

        def erase() -> Erasure:
            asked = self._client.create_erasure(selection, [model], method, "gdpr")
            return self._client.wait_for_erasure(asked.name)

        with self._narrator.doing(doing):
            seconds, erasure = _timed(erase)
        if erasure.state != Erasure.SUCCEEDED:
            raise StoryError(f"{Erasure.State.Name(erasure.state)}: {erasure.state_reason}")
        return seconds, erasure.outcomes[0]

    def _destroyed(self, outcome: Outcome) -> Claim:
        before = self._client.get_release(outcome.release_before)
        return Claim("old release destroyed", before.state == Release.DESTROYED)

    def _look(self, model: str) -> Look:
        with self._narrator.doing("  auditing it and asking it"):
            audit = self._client.audit_model(model, SALT)
            unseen = self._client.predict(model, images=self._digits.unseen.images).logits
            erased = self._client.predict(model, images=self._digits.erased.images).logits
        return Look(
            samples=audit.samples,
            consistent=audit.consistent,
            state=audit.state_commitment_held,
            weights=audit.weights_commitment_served,
            unseen=unseen,
            erased=erased,
            hits=int((unseen.argmax(axis=1) == self._digits.unseen.labels).sum()),
        )


class StoryError(Exception):
    """The server did not carry out what it was asked."""


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started = perf_counter()
    result = work()
    return perf_counter() - started, result


def _recomputed(look: Look, samples: int) -> Claim:
    """What must hold of every model at any time: it is what its samples make it."""
    return Claim(
        f"audit of {samples:,} samples agrees", look.consistent and look.samples == samples
    )


def _identical(look: Look, other: Look, step: str) -> list[Claim]:
    """The same statistics, weights and answers as in another step, to the last bit."""
    return [
        Claim(f"state identical to {step}", look.state == other.state),
        Claim(f"weights identical to {step}", look.weights == other.weights),
        Claim(
            f"{look.unseen.size:,} scores identical to {step}",
            look.unseen.tobytes() == other.unseen.tobytes(),
        ),
    ]


def _nothing_left(outcome: Outcome) -> Claim:
    return Claim(f"at most {outcome.bound.nats:g} nats left", outcome.bound.nats == 0)


def _rounded(made: Release | Outcome) -> Claim:
    return Claim("correctly rounded", made.solve.correctly_rounded)
