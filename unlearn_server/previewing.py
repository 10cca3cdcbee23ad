"""What an erasure would do to a model, exactly, and without doing any of it."""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray

from unlearn_server.domain import Retention, Selection, SelectionKind
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.ledger.samples import Listed
from unlearn_server.moment import Block, Moment, Moments, each_alone, leave_out_error
from unlearning import blas
from unlearning.leave_one_out import HeldOutError
from unlearning.statistics import Statistics
from unlearning.weighted_fit import WeightedFit

_NOTHING_LEFT = HeldOutError(nan, nan, 0)


@dataclass(frozen=True)
class ClassSize:
    """How many samples a class has, and would have."""

    label: str
    before: int
    after: int


@dataclass(frozen=True)
class Preview:
    """What would be erased, and what that would do.

    Attributes:
        samples: how many would be erased.
        before, after: leave-one-out errors; NaN after, if nothing would be left.
        prediction_shift: root mean square change of the logits of the samples left.
        scarce_classes: those with less than the minimum of samples afterwards.
        critical_subjects: hashes of those whose erasure after this one would take another
            class below it.
    """

    samples: int
    before: HeldOutError
    after: HeldOutError
    prediction_shift: float
    scarce_classes: list[ClassSize]
    critical_subjects: list[bytes]


class Previewer:
    """Looks ahead for FEATURES models; what it raises, see ``Moments.open``."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments

    def preview(self, model_id: str, selection: Selection, minimum: int) -> Preview:
        """What erasing a selection would do. EXACT and ZERO leave the same bits.

        Args:
            model_id: the model.
            selection: what would be erased of it.
            minimum: samples that each class should keep; 0 to not ask.

        Raises:
            ServiceError: CORE_SAMPLE if it selects one.
        """
        with self._moments.open(model_id) as moment:
            goes = _goes(moment.listed, selection)
            left = [each for each, going in zip(moment.listed, goes, strict=True) if not going]
            fit, labels = WeightedFit.of_statistics(moment.everything), _Labels()
            before = leave_out_error(fit, labels.of(moment.blocks(each_alone(moment.listed))))
            _subtract(moment, [s for s, going in zip(moment.listed, goes, strict=True) if going])
            after, shift = _NOTHING_LEFT, 0.0
            if left:
                fit_after = WeightedFit.of_statistics(moment.everything)
                after = leave_out_error(fit_after, moment.blocks(each_alone(left)))
                shift = _shift(moment.everything, fit, fit_after)
        sizes = _Sizes(moment.model.objective.classes, labels.all, goes, minimum)
        return Preview(
            samples=int(goes.sum()),
            before=before,
            after=after,
            prediction_shift=shift,
            scarce_classes=sizes.scarce_classes(),
            critical_subjects=sizes.critical_subjects(moment.listed),
        )


class _Labels:
    """Remembers the labels of blocks as they pass, in the order of all samples."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.int32]] = []

    def of(self, blocks: Iterable[Block]) -> Iterator[Block]:
        for block in blocks:
            self._parts.append(block.opened.labels)
            yield block

    @property
    def all(self) -> NDArray[np.int32]:
        return np.concatenate(self._parts)


@dataclass(frozen=True)
class _Sizes:
    """How many samples classes have; ``goes`` says of each sample whether it would go."""

    classes: Sequence[str]
    labels: NDArray[np.int32]
    goes: NDArray[np.bool_]
    minimum: int

    def scarce_classes(self) -> list[ClassSize]:
        before, after = self._counts(self.labels), self._after
        return [
            ClassSize(*size)
            for size in zip(self.classes, before.tolist(), after.tolist(), strict=True)
            if size[-1] < self.minimum
        ]

    def critical_subjects(self, listed: Sequence[Listed]) -> list[bytes]:
        labels_of: dict[bytes, list[int]] = {}
        for sample, label, going in zip(listed, self.labels, self.goes, strict=True):
            if sample.subject_hash is not None and not going:
                labels_of.setdefault(sample.subject_hash, []).append(label)
        after = self._after
        is_kept = after >= self.minimum
        return [
            subject
            for subject, labels in labels_of.items()
            if (is_kept & (after - self._counts(np.array(labels)) < self.minimum)).any()
        ]

    @property
    def _after(self) -> NDArray[np.intp]:
        return self._counts(self.labels[~self.goes])

    def _counts(self, labels: NDArray[np.int32]) -> NDArray[np.intp]:
        return np.bincount(labels, minlength=len(self.classes))


def _goes(listed: Sequence[Listed], selection: Selection) -> NDArray[np.bool_]:
    """Whether each sample is selected, shape (n,)."""
    named = set(selection.hashes)
    goes = np.array([_selects(selection.kind, named, sample) for sample in listed], np.bool_)
    is_core = np.array([sample.retention is Retention.CORE for sample in listed], np.bool_)
    if (goes & is_core).any():
        message = "selection: names a sample that is retained as CORE, which is never erased"
        raise ServiceError(Reason.CORE_SAMPLE, f"{message}; leave it out", field="selection")
    return goes


def _selects(kind: SelectionKind, named: Set[bytes], sample: Listed) -> bool:
    match kind:
        case SelectionKind.SUBJECTS:
            return sample.subject_hash in named
        case SelectionKind.SAMPLES:
            return sample.sample_hash in named
        case SelectionKind.ALL_USER_DATA:
            return sample.retention is Retention.USER


def _subtract(moment: Moment, going: Sequence[Listed]) -> None:
    """Takes samples out of the moment's statistics."""
    for block in moment.blocks(each_alone(going)):
        opened = block.opened
        moment.everything.subtract(*moment.model.objective.fitted(opened.entries, opened.labels))


def _shift(left: Statistics, before: WeightedFit, after: WeightedFit) -> float:
    """The root of the mean of (W_after - W_before)' psi squared, over rows left and classes."""
    change = after.W - before.W
    squares = (change * blas.symmetric_product(left.G.entries(), change)).sum()
    return sqrt(max(float(squares), 0.0) / (left.n * change.shape[1]))
