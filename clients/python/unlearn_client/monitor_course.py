"""What a monitor makes of verified certificates and of requests: what it flags, and remembers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from unlearn.v1.erasure_pb2 import Erasure
from unlearn_client.monitor_memory import Memory
from unlearn_client.verification import Checkpoint, Statement, refusals
from unlearn_client.verification.members import Members
from unlearn_client.verification.wording import minute, read_time


@dataclass(frozen=True)
class Finding:
    """Something that a person should know.

    Attributes:
        about: the name of what it is about.
        words: what was found.
        flagged: is it something to act on, or information only?
    """

    about: str
    words: str
    flagged: bool = True


class Course:
    """The course of one look: starts from what was seen before, and is told what is new.

    Args:
        memory: of the look before.
        budget: the most nats that may be left of what was erased.
    """

    def __init__(self, memory: Memory, budget: float) -> None:
        self._budget = budget
        self._keys = memory.keys
        self._cores = dict(memory.cores)
        self._software = memory.software
        self._refused = memory.refused

    def rotated(self, keys: tuple[str, ...]) -> Iterator[Finding]:
        """Flags keys of the log that were not there before."""
        for key in keys:
            if self._keys and key not in self._keys:
                yield Finding("the log", f"changed its key, and endorsed {key}")
        self._keys = keys

    def certified(self, statement: Statement) -> Iterator[Finding]:
        """Flags what is wrong with a new certificate, which was verified."""
        members = Members(statement.document, "the statement")
        name = f"certificates/{statement.index}"
        is_refusal = statement.kind == refusals.TYPE
        due, ended = (
            read_time(members, f"predicate.{each}Time")
            for each in ("due", "refuse" if is_refusal else "complete")
        )
        if ended > due:
            word = "refused" if is_refusal else "completed"
            yield Finding(name, f"{word} {minute(ended)}, and was due {minute(due)}")
        if not is_refusal:
            yield from self._erased(name, members)
        yield from self._digest(name, members.digest("predicate.software.digest"))

    def _erased(self, name: str, members: Members) -> Iterator[Finding]:
        nats = members.number("predicate.bound.nats")
        if not nats <= self._budget:  # nothing is within a budget that is no number
            yield Finding(name, f"leaves {nats!r} nats, more than {self._budget!r}")
        yield from self._core(members)

    def requests(self, erasures: Iterable[Erasure], now: datetime) -> Iterator[Finding]:
        """Flags requests that are open and overdue, and those refused since."""
        refused = []
        for erasure in erasures:
            if erasure.state == Erasure.REFUSED:
                refused.append(erasure.name)
                if erasure.name not in self._refused:
                    yield Finding(erasure.name, f"was refused: {erasure.state_reason}")
            elif (due := erasure.due_time.ToDatetime(UTC)) < now:
                state = Erasure.State.Name(erasure.state)
                yield Finding(erasure.name, f"is {state}, and was due {minute(due)}")
        self._refused = tuple(refused)

    def memory(self, checkpoint: Checkpoint) -> Memory:
        """To begin the next look with, once all entries under a checkpoint were verified."""
        return Memory(
            checkpoint.note.decode(),
            checkpoint.size,
            self._keys,
            self._cores,
            self._software,
            self._refused,
        )

    def _core(self, members: Members) -> Iterator[Finding]:
        model = members.text("predicate.model.name")
        core = members.digest("predicate.model.core.digest")
        before = self._cores.get(model, core)
        if core != before:
            yield Finding(model, f"has the core {core}, and had {before}")
        self._cores[model] = core

    def _digest(self, name: str, software: str) -> Iterator[Finding]:
        if self._software not in ("", software):
            words = f"is by other software, {software}, than those before"
            yield Finding(name, words, flagged=False)
        self._software = software
