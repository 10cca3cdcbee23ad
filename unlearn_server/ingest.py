"""Takes samples in: features are computed and rounded once, then sealed and stored.

One call is one transaction. A sample that is sent again with the same content changes
nothing, so a caller who does not know whether a message arrived sends it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from unlearn_server import rows
from unlearn_server.domain import Model, Retention
from unlearn_server.errors import Reason, ServiceError
from unlearn_server.failpoints import Failpoint, reach
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import holds, key_ids, models, samples, suppressions
from unlearn_server.ledger.database import Database
from unlearn_server.workspace import Workspaces
from unlearning.cores import Core
from unlearning.cores.core import Input, Samples
from unlearning.errors import InvalidInputError

Content = bytes | str | NDArray[np.float32]
"""An encoded image, a text, or features (width - 1,) computed elsewhere."""

Contents = Sequence[bytes] | Sequence[str] | Sequence[Content] | NDArray[np.float32]

_KINDS: dict[Input, type] = {"image": bytes, "text": str, "features": np.ndarray}


@dataclass(frozen=True)
class Arrival:
    """A sample as its sender described it.

    Attributes:
        canonical: every field in one canonical form, to recognise it when sent again.
    """

    sample_id: str
    subject_id: str
    content: Content
    label: int
    retention: Retention
    canonical: bytes


@dataclass(frozen=True)
class _Hashed:
    """An arrival with its keyed hashes; ``row`` is its place in the caller's message."""

    row: int
    arrival: Arrival
    sample_hash: bytes
    subject_hash: bytes | None
    content_hash: bytes


class Ingest:
    """Adds samples to models, and computes the features of those to predict."""

    def __init__(self, database: Database, keys: KeyRing, workspaces: Workspaces) -> None:
        self._database = database
        self._keys = keys
        self._workspaces = workspaces
        self._extracting = Lock()

    def entries(self, model: Model, contents: Contents) -> NDArray[np.int16]:
        """Rows as they are stored, (n, row_width), of images, texts or features from elsewhere.

        Raises InvalidInputError, with the row, for a sample that the core cannot read.
        """
        core, objective = self._workspaces.core_of(model), model.objective
        _check_contents(core, model, contents)
        with self._extracting:  # a network takes all processors by itself
            outputs = core.extract(objective.feature_map, _batch(core, contents), objective.head)
        return objective.stored(outputs)

    def add(self, model_id: str, arrivals: Sequence[Arrival]) -> tuple[int, int]:
        """Adds samples; returns how many were new and how many were held already.

        Raises:
            ServiceError: MODEL_NOT_FOUND; SAMPLE_EXISTS if one is held with other content;
                SUBJECT_SUPPRESSED if a new one is of a subject that was erased; TAKEN_OVER.
            InvalidInputError: for a sample that cannot be read, with its row.
            CapacityError: if they do not all fit.
        """
        hashed = self._hash(arrivals)
        with self._database.read() as conn:
            model = models.get(conn, model_id)
            new = _unknown(conn, model, hashed)
            _check_not_suppressed(conn, model, new)
        _check_labels(model, new)
        added = 0
        if new:
            try:
                entries = self.entries(model, [sample.arrival.content for sample in new])
            except InvalidInputError as error:
                raise _at_row(error, new) from error
            added = self._commit(model, new, entries)
        return added, len(arrivals) - added

    def _hash(self, arrivals: Sequence[Arrival]) -> list[_Hashed]:
        return [
            _Hashed(
                row,
                arrival,
                self._keys.hash_sample(arrival.sample_id),
                self._keys.hash_subject(arrival.subject_id) if arrival.subject_id else None,
                self._keys.hash_content(arrival.canonical),
            )
            for row, arrival in enumerate(arrivals)
        ]

    def _commit(self, seen: Model, new: list[_Hashed], entries: NDArray[np.int16]) -> int:
        """Stores those that are still new, and returns how many those are."""
        workspace = self._workspaces.get(seen.model_id)
        with workspace.lock:
            fence = self._database.hold()
            with self._database.read() as conn:
                model = models.get(conn, seen.model_id)
                if model.version != seen.version:
                    # Another call may have added some of them while features were computed.
                    still_new = {sample.row for sample in _unknown(conn, model, new)}
                    chosen = [i for i, sample in enumerate(new) if sample.row in still_new]
                    new, entries = [new[i] for i in chosen], entries[chosen]
                state = workspace.state(conn, model, self._keys)
            if not new:
                return 0
            labels = np.array([sample.arrival.label for sample in new], np.int32)
            is_core = np.array([s.arrival.retention is Retention.CORE for s in new], np.bool_)
            state.check_capacity(entries, labels)
            with self._database.write(fence) as conn:
                _check_not_suppressed(conn, model, new)
                master_id = key_ids.masters(conn)[-1]
                sealed = [
                    rows.seal(self._draft(sample, row), model, self._keys, master_id)
                    for sample, row in zip(new, entries, strict=True)
                ]
                version = models.bump(conn, model.key)
                samples.insert(conn, model.key, sealed)
                # What would erase one of these may not, if it is about somebody on hold.
                if holds.last_for(conn, {row.subject_hash for row in sealed if row.subject_hash}):
                    holds.suspend(conn)
                reach(Failpoint.INGEST_STORED)
            reach(Failpoint.INGEST_COMMITTED)
            workspace.drop_state()  # kept again only once it has the rows that are committed
            state.add(entries, labels, is_core)
            workspace.keep_state(state, version)
            return len(new)

    def _draft(self, sample: _Hashed, entries: NDArray[np.int16]) -> rows.Draft:
        arrival = sample.arrival
        return rows.Draft(
            sample_id=arrival.sample_id,
            sample_hash=sample.sample_hash,
            subject_hash=sample.subject_hash,
            content_hash=sample.content_hash,
            label=arrival.label,
            retention=arrival.retention,
            entries=entries,
        )


def _unknown(conn: Connection, model: Model, hashed: Sequence[_Hashed]) -> list[_Hashed]:
    """Those that the model does not hold; raises SAMPLE_EXISTS for a changed one."""
    held = samples.known(conn, model.key, [sample.sample_hash for sample in hashed])
    new = []
    for sample in hashed:
        content = held.get(sample.sample_hash)
        if content is None:
            held[sample.sample_hash] = sample.content_hash
            new.append(sample)
        elif content != sample.content_hash:
            message = (
                "samples.sample_id: is taken by a sample with other content; "
                "erase that one first, or give this one an id of its own"
            )
            raise ServiceError(
                Reason.SAMPLE_EXISTS, message, field="samples.sample_id", sample=sample.row
            )
    return new


def _check_not_suppressed(conn: Connection, model: Model, new: Sequence[_Hashed]) -> None:
    subjects = {sample.subject_hash for sample in new if sample.subject_hash}
    barred = suppressions.lasting(conn, model.key, subjects)
    for sample in new:
        if sample.subject_hash in barred:
            message = (
                "samples.subject_id: was erased from this model; leave the sample out, or lift the "
                "suppression first if the person has come back"
            )
            raise ServiceError(
                Reason.SUBJECT_SUPPRESSED, message, field="samples.subject_id", sample=sample.row
            )


def _check_labels(model: Model, new: Sequence[_Hashed]) -> None:
    count = len(model.objective.classes)
    for sample in new:
        if not 0 <= sample.arrival.label < count:
            raise InvalidInputError(
                "samples.label",
                f"{sample.arrival.label} is not the index of a class",
                f"use 0 to {count - 1}, as in Model.classes",
                sample.row,
            )


def _check_contents(core: Core, model: Model, contents: Contents) -> None:
    """Each content must be what the core takes: an image, a text, or features of its width."""
    for row, content in enumerate(contents):
        if not isinstance(content, _KINDS[core.input]):
            raise InvalidInputError(
                "content", "is not what the core takes", f"send {core.input}", row
            )
        if isinstance(content, np.ndarray) and len(content) != model.objective.width - 1:
            raise InvalidInputError(
                "features",
                f"has {len(content)} values",
                f"send the {model.objective.width - 1} that {core.name} takes",
                row,
            )


def _batch(core: Core, contents: Contents) -> Samples:
    if core.input == "features":
        return np.asarray(contents, np.float32)
    return cast("Samples", contents)  # as they were checked


def _at_row(error: InvalidInputError, new: Sequence[_Hashed]) -> InvalidInputError:
    """The same error, at the row of the caller's message."""
    if error.row is not None:
        error.row = new[error.row].row
    return error
