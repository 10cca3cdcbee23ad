"""TANGENT, forgetting by NEWTON with noise, and one that forgets nothing, for the read-outs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from tests.benchmarks import datasets
from tests.benchmarks.contenders import REQUESTS, Contender, first_users
from tests.benchmarks.tangent_task import Tangent, Task
from unlearning import cores
from unlearning.information import InformationBound
from unlearning.readouts.model import Released, Rows, Samples
from unlearning.readouts.tangent import NewtonModel

CORE_MODEL = "efficientnet-lite0"
NOISE_SCALE = 3e-4


@dataclass(frozen=True)
class Sizes:
    """Every release is solved for, so that there are fewer of all than with FEATURES.

    Attributes:
        rows, core_rows, test_rows: how many; each request is for one row.
        tried, shadows, pairs: as a contender's.
    """

    rows: int = 100
    core_rows: int = 20
    test_rows: int = 60
    tried: tuple[int, ...] = (REQUESTS,)
    shadows: int = 20
    pairs: int = 64


FULL = Sizes()
QUICK = Sizes(30, 10, 20, shadows=4, pairs=8)


class NotForgetting(NewtonModel):
    """Is asked, and does nothing."""

    def unlearn(self, rows: Rows, requests: Sequence[Rows], seed: int, /) -> Released:
        return self.train(np.concatenate([rows, *requests]), seed)


def tangent_contenders(sizes: Sizes) -> list[Contender]:
    """On the first digits; the control is held against the same bounds."""
    core = cores.load(CORE_MODEL)
    task = Task(core, datasets.digits(), sizes.rows, sizes.core_rows, sizes.test_rows)
    tangent = Tangent(task, core.tangent_ridge)
    stored = (
        replace(tangent.objective, noise_scale=NOISE_SCALE),
        np.concatenate([tangent.psi, tangent.test_psi]),
        np.concatenate([task.labels, task.dataset.labels[task.test]]),
        np.arange(sizes.rows + sizes.test_rows) < sizes.core_rows,
        tangent.network,
    )
    model = NewtonModel(*stored)

    def samples(requests: int) -> Samples:
        return first_users(model, sizes.core_rows, 1, requests, sizes.rows)

    @cache
    def bound(requests: int) -> InformationBound:
        return _claimed(model, samples(requests))

    common = (samples, bound)
    return [
        Contender(
            "TANGENT, NEWTON", model, *common, False, sizes.tried, sizes.shadows, sizes.pairs
        ),
        Contender(
            "TANGENT, nothing forgotten",
            NotForgetting(*stored),
            *common,
            True,
            sizes.tried[-1:],
            sizes.shadows,
            sizes.pairs,
        ),
    ]


def _claimed(model: NewtonModel, samples: Samples) -> InformationBound:
    """What a certificate would say after the last request."""
    copy = model.empty()
    for rows in samples.parts["retained"], samples.erased:
        copy.add(model.psi[rows], model.labels[rows], model.is_core[rows])
    for request in samples.requests:
        copy.release()
        copy.erase(model.psi[request], model.labels[request])
    return copy.release().leakage.bound(len(samples.requests))
