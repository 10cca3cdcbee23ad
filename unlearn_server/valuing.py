"""What samples and subjects are worth, and how large a model's error is without a test set.

Computed on demand from the samples held, and never stored: values depend on everyone's data.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from unlearn_server.moment import (
    Block,
    Groups,
    Moment,
    Moments,
    by_subject,
    core_alone,
    each_alone,
    leave_out_error,
)
from unlearning.dataset_derivative import (
    Derivatives,
    Source,
    leave_out_derivatives,
    validation_derivatives,
)
from unlearning.leave_one_out import HeldOutError, held_out_error, leave_out
from unlearning.reweighting import reweight
from unlearning.weighted_fit import Rows, WeightedFit

_Floats = NDArray[np.float64]


class Objective(StrEnum):
    """Of what an error is the sum."""

    LEAVE_ONE_OUT = "LEAVE_ONE_OUT"
    LEAVE_SUBJECT_OUT = "LEAVE_SUBJECT_OUT"
    CORE_VALIDATION = "CORE_VALIDATION"


@dataclass(frozen=True)
class Value:
    """What a sample, or a subject by its keyed hash in hex, is worth.

    Attributes:
        derivative: of the objective by its weight; above 0, more weight raises the error.
        held_out_error: ||r||^2 when it is left out, in squared target units.
        is_core: whether it is retained as CORE; no subject is.
        weight: after the steps asked for down the gradient; 1 of a subject.
    """

    id: str
    derivative: float
    held_out_error: float
    is_core: bool = False
    weight: float = 1.0


class Valuer:
    """Values the samples of FEATURES models; what it raises, see ``Moments.open``."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments

    def differentiate(
        self,
        model_id: str,
        objective: Objective,
        *,
        subjects: bool,
        limit: int,
        ridge: float = 0.0,
        steps: int = 0,
    ) -> list[Value]:
        """The values of all samples, or of all subjects, most harmful first.

        Args:
            model_id: the model.
            objective: of which error.
            subjects: sums each subject's samples.
            limit: so many at most; 0 for all.
            ridge: another one than the model's, in real units; 0 for its own.
            steps: of reweighting.

        Raises:
            ServiceError: NO_SAMPLES without a CORE sample to validate on.
            InvalidInputError: for a ridge that no model can have.
        """
        with self._moments.open(model_id) as moment:
            groups = _groups(moment, objective)
            fit = _fit(moment, ridge)
            if is_core := objective is Objective.CORE_VALIDATION:
                core_alone(moment.listed)
            reader = _Reader(lambda: moment.blocks(groups, core_counts=is_core))
            differentiate = _on_core if is_core else _left_out
            found = differentiate(fit, reader)
            lam = moment.everything.ridge / 2
            weights = reweight(reader, lam, differentiate, found.derivatives, steps)
        values = reader.values(found, weights)
        if subjects:
            values = _summed(values, groups)
        values.sort(key=lambda value: value.derivative, reverse=True)
        return values[: limit or None]

    def estimate(self, model_id: str, objective: Objective, ridge: float = 0.0) -> HeldOutError:
        """The error and the accuracy, under another ridge where one is given, in real units.

        Raises:
            ServiceError: as ``differentiate`` does.
            InvalidInputError: for a ridge that no model can have.
        """
        with self._moments.open(model_id) as moment:
            fit = _fit(moment, ridge)
            if objective is not Objective.CORE_VALIDATION:
                return leave_out_error(fit, moment.blocks(_groups(moment, objective)))
            blocks = moment.blocks(core_alone(moment.listed))
            return held_out_error((fit.residuals(block.rows), block.targets) for block in blocks)


def _fit(moment: Moment, ridge: float) -> WeightedFit:
    """Of all samples, under another ridge if it is not 0, which the moment then has."""
    if ridge:
        moment.everything.ridge = moment.model.objective.lattice_ridge(ridge)
    return WeightedFit.of_statistics(moment.everything)


def _left_out(fit: WeightedFit, source: Source) -> Derivatives:
    derivatives, errors = zip(*leave_out_derivatives(fit, source), strict=True)
    return Derivatives(np.concatenate(derivatives), np.concatenate(errors))


def _on_core(fit: WeightedFit, source: Source) -> Derivatives:
    derivatives = np.concatenate(list(validation_derivatives(fit, source)))
    left = (leave_out(fit, rows).residuals for rows in source())
    return Derivatives(derivatives, np.concatenate([np.square(r).sum(axis=1) for r in left]))


class _Reader:
    """Reads the same rows each time, and remembers whose they are."""

    def __init__(self, blocks: Callable[[], Iterable[Block]]) -> None:
        self._blocks = blocks
        self._ids: list[str] = []
        self._are_core: list[bool] = []

    def __call__(self) -> Iterator[Rows]:
        self._ids, self._are_core = [], []
        for block in self._blocks():
            self._ids += block.opened.ids.tolist()
            self._are_core += block.opened.is_core.tolist()
            yield block.rows

    def values(self, found: Derivatives, weights: _Floats) -> list[Value]:
        """Of the rows last read."""
        numbers = (part.tolist() for part in found)
        columns = self._ids, *numbers, self._are_core, weights.tolist()
        return [Value(*each) for each in zip(*columns, strict=True)]


def _groups(moment: Moment, objective: Objective) -> Groups:
    if objective is Objective.LEAVE_SUBJECT_OUT:
        return by_subject(moment.listed)
    return each_alone(moment.listed)


def _summed(values: Iterable[Value], groups: Groups) -> list[Value]:
    """The sums of each subject's samples, whose order is that of the groups."""
    sums: dict[bytes, _Floats] = {}
    samples = (sample for group in groups for sample in group)
    for value, sample in zip(values, samples, strict=True):
        if sample.subject_hash is not None:
            total = sums.setdefault(sample.subject_hash, np.zeros(2))
            total += (value.derivative, value.held_out_error)
    return [Value(subject.hex(), *total.tolist()) for subject, total in sums.items()]
