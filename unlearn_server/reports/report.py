"""What a report tells, before it is put into any form.

A request belongs to the period in which it was closed, and so do its certificates.
Every count is of rows that the report lists.
"""

from dataclasses import dataclass
from datetime import datetime

from unlearn_server.domain import ErasureState, Hold, Method
from unlearn_server.software import Software
from unlearning.information import InformationBound


@dataclass(frozen=True)
class Period:
    """From ``start`` until before ``end``; what comes after ``seen``, the report cannot know.

    Attributes:
        start, end: as asked for.
        made: when the report was made.
    """

    start: datetime
    end: datetime
    made: datetime

    @property
    def seen(self) -> datetime:
        """Until when the report tells: the period's end, or when it was made if that was before."""
        return min(self.end, self.made)


@dataclass(frozen=True, slots=True)
class Closed:
    """A request closed in the period with one of its outcomes, or its refusal, or with neither.

    Attributes:
        certificate: the outcome's or the refusal's index in the log.
        request_id, state, regulation, receive_time, due_time, close_time: the request's.
        model_id, method, erased_samples, bound: the outcome's; None and 0 without one.
    """

    certificate: int | None
    request_id: str
    state: ErasureState
    regulation: str
    receive_time: datetime
    due_time: datetime
    close_time: datetime
    model_id: str | None
    method: Method | None
    erased_samples: int
    bound: InformationBound | None

    @property
    def kind(self) -> tuple[str, Method] | None:
        """Which model and by what method; None without an outcome."""
        if self.model_id is None or self.method is None:
            return None
        return self.model_id, self.method

    @property
    def is_late(self) -> bool:
        """Whether it was carried out, but after it was due."""
        return self.state is ErasureState.SUCCEEDED and self.close_time > self.due_time


@dataclass(frozen=True, slots=True)
class Open:
    """A request that was open at the end.

    Attributes:
        request_id, receive_time, due_time: the request's.
        state: as it is now; a final one if it was closed since.
        certificates: what it has already, and its refusal if that came since, by their index.
    """

    request_id: str
    state: ErasureState
    receive_time: datetime
    due_time: datetime
    certificates: tuple[int, ...]


@dataclass(frozen=True)
class KeyUse:
    """A key that was in force, and what it signed.

    Attributes:
        key_id: hex SHA-256 of its SubjectPublicKeyInfo.
        verifier_key: as signed notes encode it.
        first, last: the log's indices that it signs, ``last`` None for the key in force.
        certificates: how many of the report's it signed.
    """

    key_id: str
    verifier_key: str
    first: int
    last: int | None
    certificates: int


@dataclass(frozen=True)
class LogHead:
    """The log as it stood when the report was made; ``root`` in hex, ``checkpoint`` signed."""

    origin: str
    size: int
    root: str
    checkpoint: str
    keys: tuple[KeyUse, ...]


@dataclass(frozen=True)
class Report:
    """A period's report.

    Attributes:
        period: which.
        open_at_start: requests received before it and not closed before it.
        received: requests received in it.
        closed: those closed in it, by their certificates; those without come last.
        open: requests open at its end, the next one due first.
        holds: those that lasted at some time of it.
        log: where the certificates are.
        software: what made the report.
    """

    period: Period
    open_at_start: int
    received: int
    closed: tuple[Closed, ...]
    open: tuple[Open, ...]
    holds: tuple[Hold, ...]
    log: LogHead
    software: Software
