"""The digits of the demo: real images, and people they are assigned to."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from unlearn.v1.model_pb2 import Sample

CORE_SAMPLES = 300
USER_SAMPLES = 1200
SAMPLES_OF_A_PERSON = 10
PEOPLE_TO_FORGET = 3
BRIGHTEST = 16
"""load_digits counts gray levels from 0 to 16."""

CLASSES = tuple("0123456789")


@dataclass(frozen=True)
class Digits:
    """Digits in the data set's own order.

    Attributes:
        images: the PNG file of each.
        labels: the digit that each shows.
    """

    images: Sequence[bytes]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice) -> "Digits":
        return Digits(self.images[part], self.labels[part])


@dataclass(frozen=True)
class DigitSet:
    """Everything that the story needs.

    Attributes:
        core: samples that never need forgetting.
        users: samples of people.
        erased: the digits of the people who ask to be forgotten.
        unseen: the digits that are never given to a model.
        forgotten: the ids of those people.
    """

    core: Sequence[Sample]
    users: Sequence[Sample]
    erased: Digits
    unseen: Digits
    forgotten: Sequence[str]

    @property
    def remaining(self) -> Sequence[Sample]:
        """What is left without the forgotten, shuffled."""
        kept = [s for s in (*self.core, *self.users) if s.subject_id not in self.forgotten]
        return [kept[i] for i in np.random.default_rng(0).permutation(len(kept))]


def load() -> DigitSet:
    """Scikit-learn's 1,797 digits: the first 300 CORE, 1,200 of users, the last 297 unseen.

    The data set does not say who wrote which digit, so each person is assigned ten in a
    row. The first three people are the ones who will ask to be forgotten. No seed chooses
    anything.
    """
    digits = _all_digits()
    end = CORE_SAMPLES + USER_SAMPLES
    users = digits[CORE_SAMPLES:end]
    return DigitSet(
        core=_core_samples(digits[:CORE_SAMPLES]),
        users=_user_samples(users),
        erased=users[: PEOPLE_TO_FORGET * SAMPLES_OF_A_PERSON],
        unseen=digits[end:],
        forgotten=[_person(number) for number in range(PEOPLE_TO_FORGET)],
    )


def _all_digits() -> Digits:
    data = load_digits()
    return Digits([_png(pixels) for pixels in data.images], data.target)


def _png(gray: NDArray[np.float64]) -> bytes:
    file = io.BytesIO()
    Image.fromarray((gray * 255 / BRIGHTEST).round().astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _core_samples(digits: Digits) -> list[Sample]:
    return [
        Sample(sample_id=f"core-{i}", image=image, label=label, retention=Sample.CORE)
        for i, (image, label) in enumerate(zip(digits.images, digits.labels, strict=True))
    ]


def _user_samples(digits: Digits) -> list[Sample]:
    return [
        Sample(
            sample_id=f"user-{i}",
            subject_id=_person(i // SAMPLES_OF_A_PERSON),
            image=image,
            label=label,
        )
        for i, (image, label) in enumerate(zip(digits.images, digits.labels, strict=True))
    ]


def _person(number: int) -> str:
    return f"person-{number}"
