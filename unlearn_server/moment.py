"""A FEATURES model as of one moment, for fits of its rows; nothing of it is kept.

It is one read transaction and the statistics of the rows in it, so samples may come and go
meanwhile. What was computed is told only if none of its samples has gone: the values that an
erased sample had part in go with it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from unlearn_server import rows
from unlearn_server.domain import Model, Retention
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import models, samples
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.samples import Listed
from unlearn_server.workspace import Workspaces
from unlearning import weighted_fit
from unlearning.forgetting import MixedPrivacyModel
from unlearning.lattice import TARGETS
from unlearning.leave_one_out import HeldOutError, held_out_error, leave_out
from unlearning.statistics import Statistics
from unlearning.weighted_fit import WeightedFit

Groups = Sequence[Sequence[Listed]]
"""Samples that are left out of a fit together, each group's."""


class Block(NamedTuple):
    """Opened samples, the same as rows of a fit, and what f is fitted to, shape (k, C)."""

    opened: rows.Rows
    rows: weighted_fit.Rows
    targets: NDArray[np.float64]


@dataclass(frozen=True)
class Moment:
    """What a model holds.

    Attributes:
        everything: statistics of all rows, the caller's own.
        listed: the samples in order of key.
    """

    model: Model
    everything: Statistics
    listed: Sequence[Listed]
    conn: Connection
    _keys: KeyRing
    _check: Callable[[], None]

    def blocks(self, groups: Groups, *, core_counts: bool = False) -> Iterator[Block]:
        """The rows of groups, in order, a bounded number at a time but for a larger group.

        All rows count, or the CORE rows alone. Raises SHUTTING_DOWN when the server goes down.
        """
        for first, chunk in _chunks(groups):
            self._check()
            keys = [sample.key for group in chunk for sample in group]
            stored = list(samples.of_keys(self.conn, self.model.key, keys))
            opened = rows.unseal(stored, self.model, self._keys)
            sizes = [len(group) for group in chunk]
            objective, unit = self.model.objective, np.float64(TARGETS.step)
            psi, t = objective.fitted(opened.entries, opened.labels)
            yield Block(
                opened,
                weighted_fit.Rows(
                    psi=psi,
                    t=t * unit,
                    groups=np.repeat(np.arange(first, first + len(chunk)), sizes),
                    weights=np.ones(len(opened)),
                    counts=opened.is_core if core_counts else np.ones(len(opened), np.bool_),
                ),
                objective.targets(opened.labels) * unit,
            )


class Moments:
    """Opens models, one at a time: a fit of all rows takes the processors by itself."""

    def __init__(
        self, database: Database, keys: KeyRing, workspaces: Workspaces, draining: Event
    ) -> None:
        self._database = database
        self._keys = keys
        self._workspaces = workspaces
        self._draining = draining
        self._turn = Lock()

    @contextmanager
    def open(self, model_id: str) -> Iterator[Moment]:
        """A model as it stands.

        Raises:
            ServiceError: MODEL_NOT_FOUND; METHOD_NOT_IMPLEMENTED for TANGENT; NO_SAMPLES;
                OVERLOADED while another one is open; MODEL_CHANGED at the end if a sample has
                gone meanwhile.
        """
        if not self._turn.acquire(blocking=False):
            message = "held-out errors of a model are being computed already; try again later"
            raise ServiceError(Reason.OVERLOADED, message, retry_after_seconds=1.0)
        try:
            self._check_features(model_id)
            with self._database.read() as conn:
                moment = self._moment(conn, model_id)
                yield moment
            self._check_none_gone(moment)
        finally:
            self._turn.release()

    def _check_features(self, model_id: str) -> None:
        with self._database.read() as conn:
            is_tangent = models.get(conn, model_id).objective.is_tangent
        if is_tangent:  # whose solve may hold its workspace for minutes
            message = (
                "model: is TANGENT, whose held-out errors have no closed form; "
                "use a model of FEATURES"
            )
            raise ServiceError(Reason.METHOD_NOT_IMPLEMENTED, message, field="model")

    def _moment(self, conn: Connection, model_id: str) -> Moment:
        workspace = self._workspaces.get(model_id)
        with workspace.lock:  # what is read from here on is what the state is of
            model = models.get(conn, model_id)
            if not model.sample_count:
                message = "model: holds no sample to measure an error on; add some"
                raise ServiceError(Reason.NO_SAMPLES, message, field="model")
            state = workspace.state(conn, model, self._keys)
            assert isinstance(state, MixedPrivacyModel)  # noqa: S101 # since it is no TANGENT
            everything = state.everything.copy()
        listed = samples.listed(conn, model.key)
        return Moment(model, everything, listed, conn, self._keys, self._check_going_on)

    def _check_going_on(self) -> None:
        if self._draining.is_set():
            message = "the server is going down; ask again when it is back"
            raise ServiceError(Reason.SHUTTING_DOWN, message, retry_after_seconds=1.0)

    def _check_none_gone(self, moment: Moment) -> None:
        with self._database.read() as conn:
            left = {sample.key for sample in samples.listed(conn, moment.model.key)}
        if not left.issuperset(sample.key for sample in moment.listed):
            message = "model: samples were erased while their values were computed; ask again"
            raise ServiceError(
                Reason.MODEL_CHANGED, message, field="model", retry_after_seconds=1.0
            )


def each_alone(listed: Sequence[Listed]) -> Groups:
    """Every sample a group of its own."""
    return [[sample] for sample in listed]


def by_subject(listed: Sequence[Listed]) -> Groups:
    """A subject's samples together; one that is of no subject is alone."""
    groups: dict[bytes | int, list[Listed]] = {}
    for sample in listed:
        groups.setdefault(sample.subject_hash or sample.key, []).append(sample)
    return list(groups.values())


def core_alone(listed: Sequence[Listed]) -> Groups:
    """The CORE samples, each alone; raises NO_SAMPLES if there are none."""
    core = [sample for sample in listed if sample.retention is Retention.CORE]
    if not core:
        message = (
            "objective: no sample is retained as CORE to validate on; retain some, or leave one out"
        )
        raise ServiceError(Reason.NO_SAMPLES, message, field="objective")
    return each_alone(core)


def leave_out_error(fit: WeightedFit, blocks: Iterable[Block]) -> HeldOutError:
    """The error on samples when their group is left out."""
    return held_out_error((leave_out(fit, block.rows).residuals, block.targets) for block in blocks)


def _chunks(groups: Groups) -> Iterator[tuple[int, Groups]]:
    """Runs of groups with about as many rows as are decrypted at once, and where each begins."""
    first, count = 0, 0
    for i, group in enumerate(groups):
        count += len(group)
        if count >= rows.ROWS_AT_ONCE or i == len(groups) - 1:
            yield first, groups[first : i + 1]
            first, count = i + 1, 0
