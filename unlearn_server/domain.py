"""The nouns of the service, free of wire formats and tables.

Times are aware UTC datetimes. Ids of subjects and samples appear here only as
keyed hashes (see ``keys``); nothing in this file may be logged but names.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from unlearning.forgetting import Method
from unlearning.information import InformationBound
from unlearning.objective import Objective
from unlearning.rounding import SolveReport

__all__ = ["Method"]


class Retention(StrEnum):
    """Whether a sample may ever have to be erased."""

    USER = "USER"
    CORE = "CORE"


class ReleaseState(StrEnum):
    """A release serves until the next one destroys its weights; a long solve comes before."""

    SOLVING = "SOLVING"
    SERVING = "SERVING"
    DESTROYED = "DESTROYED"
    FAILED = "FAILED"


class ErasureState(StrEnum):
    """Where a request stands; see ``ledger.erasures`` for the moves between them."""

    PENDING = "PENDING"
    HELD = "HELD"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    CANCELLED = "CANCELLED"
    NEEDS_OPERATOR = "NEEDS_OPERATOR"
    REFUSED = "REFUSED"


FINAL_STATES = frozenset({ErasureState.SUCCEEDED, ErasureState.CANCELLED, ErasureState.REFUSED})
"""States that no request leaves."""


class KeyKind(StrEnum):
    """What a secret of the server's is for."""

    MASTER = "MASTER"
    HASHING = "HASHING"


class SelectionKind(StrEnum):
    """By what a selection names its samples."""

    SUBJECTS = "SUBJECTS"
    SAMPLES = "SAMPLES"
    ALL_USER_DATA = "ALL_USER_DATA"


@dataclass(frozen=True)
class Selection:
    """What to forget: keyed hashes of subject or sample ids (none for all user data)."""

    kind: SelectionKind
    hashes: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Model:
    """A model as it stands; ``version`` grows with every change to it or its samples."""

    key: int
    model_id: str
    core: str
    objective: Objective
    minimum_cohort: int
    sample_count: int
    subject_count: int
    release: int | None
    create_time: datetime
    version: int

    @property
    def etag(self) -> str:
        """Changes with every change to the model, its samples or its release."""
        return f'"{self.version}"'

    def method(self, asked: Method) -> Method:
        """How the model forgets where ``asked``, which may be another model's own, applies."""
        if asked is Method.ZERO:
            return asked
        return Method.NEWTON if self.objective.is_tangent else Method.EXACT


@dataclass(frozen=True)
class Sealed:
    """What is encrypted under a key of its own, and that key, wrapped by the named master key."""

    payload: bytes
    wrapped_key: bytes
    master_id: bytes


@dataclass(frozen=True)
class NewSample:
    """A sample ready to be stored: its content sealed, its ids hashed."""

    sample_hash: bytes
    subject_hash: bytes | None
    content_hash: bytes
    retention: Retention
    sealed: Sealed


@dataclass(frozen=True)
class StoredSample:
    """A sample as it is stored."""

    key: int
    sample_hash: bytes
    subject_hash: bytes | None
    retention: Retention
    sealed: Sealed


@dataclass(frozen=True)
class Release:
    """One release; all that may be missing, but its end, is there only while it is SERVING.

    ``sealed`` are its weights and salt (see ``weights``).
    """

    number: int
    state: ReleaseState
    sample_count: int
    solve: SolveReport | None
    create_time: datetime
    destroy_time: datetime | None
    sealed: Sealed | None
    weights_commitment: bytes | None
    state_commitment: bytes | None


@dataclass(frozen=True)
class Outcome:
    """What an erasure did to one model."""

    model_id: str
    method: Method
    erased_samples: int
    release_before: int | None
    release_after: int | None
    solve: SolveReport | None
    bound: InformationBound
    certificate: int | None = None
    """Its index in the log; None before it is certified."""


@dataclass(frozen=True)
class Extension:
    """That a request may take longer, once; it was due at ``first_due_time`` before."""

    extend_time: datetime
    reason: str
    first_due_time: datetime


@dataclass(frozen=True)
class Refusal:
    """On what ground a request was refused, such as ``gdpr-17-3-b``, and the log says so where."""

    ground: str
    certificate: int


@dataclass(frozen=True)
class Erasure:
    """A deletion request as it stands; ``outcomes`` in order of completion.

    ``subject_root`` commits to the subjects it names (see ``log.commitments``), under a salt; None
    where it names none. ``commitment_salt`` is that salt, concealed (see ``keys``), and is kept
    until the last certificate.
    """

    key: int
    request_id: str
    fingerprint: bytes
    selection: Selection
    subject_root: bytes | None
    commitment_salt: bytes | None
    models: tuple[str, ...]
    method: Method
    regulation: str
    state: ErasureState
    state_reason: str
    outcomes: tuple[Outcome, ...]
    receive_time: datetime
    due_time: datetime
    complete_time: datetime | None
    extension: Extension | None = None
    refusal: Refusal | None = None

    @property
    def waiting(self) -> tuple[str, ...]:
        """The models without an outcome yet."""
        done = {outcome.model_id for outcome in self.outcomes}
        return tuple(model_id for model_id in self.models if model_id not in done)


@dataclass(frozen=True)
class Hold:
    """Suspends a subject's erasure until it is lifted; whose, only the database knows."""

    key: int
    hold_id: str
    reason: str
    place_time: datetime
    lift_time: datetime | None
