"""What clients asked for and were told: all that the checker needs to know."""

from collections import defaultdict
from dataclasses import dataclass, field
from threading import Lock

from unlearn.v1.erasure_pb2 import CreateErasureRequest, Erasure
from unlearn.v1.model_pb2 import Sample


@dataclass
class Asked:
    """A request to forget one person or some samples, and what its caller was told.

    Attributes:
        samples: by model, how many it names there.
        accepted: None while nobody has answered, and for good if its caller gave up then.
        withdrawn: whether a cancellation was confirmed (True) or came too late (False).
        done: the erasure as a caller first saw it SUCCEEDED.
    """

    request: CreateErasureRequest
    samples: dict[str, set[str]]
    accepted: Erasure | None = None
    withdrawn: bool | None = None
    done: Erasure | None = None

    @property
    def name(self) -> str:
        return f"erasures/{self.request.request_id}"


@dataclass
class Told:
    """All that the world outside knows. Clients append to it at the same time.

    Attributes:
        samples: by model, what it acknowledged, by sample id.
        asked: every request to forget.
        checkpoints: every note that the log has shown.
        violations: answers that must never be given.
        calls: how many were answered.
        retries: how many had to be made again.
    """

    samples: defaultdict[str, dict[str, Sample]] = field(default_factory=lambda: defaultdict(dict))
    asked: list[Asked] = field(default_factory=list)
    checkpoints: set[bytes] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    calls: int = 0
    retries: int = 0
    predictions: int = 0
    refused: int = 0
    _floor: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _lock: Lock = field(default_factory=Lock)

    def saw_release(self, model: str, number: int) -> None:
        """From now on nothing older may answer."""
        with self._lock:
            self._floor[model] = max(self._floor[model], number)

    def floor(self, model: str) -> int:
        with self._lock:
            return self._floor[model]

    def count(self, *, calls: int = 0, retries: int = 0, predictions: int = 0, refused: int = 0):
        with self._lock:
            self.calls += calls
            self.retries += retries
            self.predictions += predictions
            self.refused += refused

    def saw_done(self, asked: Asked, erasure: Erasure) -> None:
        asked.done = asked.done or erasure
        for outcome in erasure.outcomes:
            if outcome.release_after:
                self.saw_release(outcome.model, int(outcome.release_after.rpartition("/")[2]))
