"""Tries to refute that a model forgets: the read-outs, on a copy of its rows in memory.

The database is read in one transaction and left as it is, so a server may go on with it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unlearn_server import rows
from unlearn_server.domain import Model
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import models, samples
from unlearn_server.ledger.database import Database
from unlearn_server.offline import opened
from unlearn_server.workspace import Workspaces
from unlearning.cores import Library
from unlearning.information import InformationBound
from unlearning.readouts.exact import ExactModel
from unlearning.readouts.model import Samples
from unlearning.readouts.result import ReadOuts
from unlearning.readouts.run import Progress, read_out, unwatched
from unlearning.readouts.stored import StoredModel
from unlearning.readouts.tangent import NewtonModel

_TEST_SHARE = 5
"""Of the users' rows that stay, one in so many is kept from training, to test on."""

_MOST_TEST_ROWS = 1000


@dataclass(frozen=True)
class Experiment:
    """What is tried: whom to forget, and in how many worlds (see ``readouts.worlds``)."""

    model_id: str
    subject_ids: tuple[str, ...]
    shadows: int
    pairs: int


def carry_out(
    data_dir: Path,
    database: str | None,
    master_key: str | None,
    library: Library,
    experiment: Experiment,
    progress: Progress = unwatched,
) -> ReadOuts:
    """Trains models on a copy of the rows, and attacks those that forgot.

    Raises:
        StartupError: if there is no database or key to read.
        ServiceError: MODEL_NOT_FOUND; EMPTY_SELECTION if no row is of these subjects.
        InvalidInputError: if too few rows are left to compare.
    """
    with opened(data_dir, database, master_key) as (copied, keys):
        return _carry_out(copied, keys, Workspaces(copied, library), experiment, progress)


def _carry_out(
    database: Database,
    keys: KeyRing,
    workspaces: Workspaces,
    experiment: Experiment,
    progress: Progress,
) -> ReadOuts:
    subjects = set(map(keys.hash_subject, experiment.subject_ids))
    parts, named = [], []
    with database.read() as conn:
        model = models.get(conn, experiment.model_id)
        for stored in samples.stream(conn, model.key, rows.ROWS_AT_ONCE):
            parts.append(rows.unseal(stored, model, keys))
            named += [sample.subject_hash in subjects for sample in stored]
    erased = np.flatnonzero(named)
    if not len(erased):
        message = "--erase: no sample of the model is of these subjects; check their spelling"
        raise ServiceError(Reason.EMPTY_SELECTION, message)
    held = rows.Rows.joined(parts)
    tested = Samples.of(held.labels, held.is_core, [erased], _test_rows(held, erased))
    under_test = _under_test(workspaces, model, held)
    bound = _bound(under_test, tested, len(subjects))
    return read_out(
        under_test,
        tested,
        bound,
        shadows=experiment.shadows,
        pairs=experiment.pairs,
        progress=progress,
    )


def _test_rows(held: rows.Rows, erased: NDArray[np.intp]) -> NDArray[np.intp]:
    """Every fifth of the users' rows that stay, up to a thousand."""
    stays = ~held.is_core
    stays[erased] = False
    return np.flatnonzero(stays)[::_TEST_SHARE][:_MOST_TEST_ROWS]


def _under_test(workspaces: Workspaces, model: Model, held: rows.Rows) -> StoredModel:
    stored = (model.objective, held.entries, held.labels, held.is_core)
    if model.objective.is_tangent:
        return NewtonModel(*stored, workspaces.linearization(model))
    return ExactModel(*stored)


def _bound(under_test: StoredModel, tested: Samples, cohort: int) -> InformationBound:
    """What a certificate would claim of the copy's release after the erasure."""
    copy = under_test.empty()
    for part in (tested.retained, tested.erased):
        copy.add(under_test.entries[part], under_test.labels[part], under_test.is_core[part])
    copy.release()
    copy.erase(under_test.entries[tested.erased], under_test.labels[tested.erased])
    return copy.release().leakage.bound(cohort)
