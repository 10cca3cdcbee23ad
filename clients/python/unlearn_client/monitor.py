"""Follows a server's log on behalf of people who cannot: what is new, and what is wrong.

Every entry since the last look is fetched and verified, so that none can be left out; the log
must continue the one that was seen then. What is flagged is for a person to look at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import grpc

from unlearn.v1.audit_pb2 import Certificate
from unlearn.v1.erasure_pb2 import Erasure
from unlearn_client.client import Client
from unlearn_client.errors import UnavailableError, UnlearnError, VerificationError
from unlearn_client.monitor_course import Course, Finding
from unlearn_client.monitor_log import Pinned, wait_for_size, wait_for_witnesses
from unlearn_client.monitor_memory import Memory
from unlearn_client.verification import (
    Checkpoint,
    Keyring,
    Log,
    Report,
    Statement,
    Witnesses,
    rotations,
    verify,
)
from unlearn_client.verification.history import History
from unlearn_client.verification.keyrings import MAX_KEYS_BYTES
from unlearn_client.verification.proofs import read_proof

WATCHED = (
    Erasure.PENDING,
    Erasure.HELD,
    Erasure.RUNNING,
    Erasure.NEEDS_OPERATOR,
    Erasure.REFUSED,
)

_AT_ONCE = 200
"""Certificates that are verified together."""


@dataclass(frozen=True)
class Look:
    """What came of looking at a server.

    Attributes:
        checkpoint: the log's; None: the log itself is refused.
        certificates: the new ones.
        findings: what is wrong, and what is only said.
        memory: to begin the next look with; None: not all that is there was verified.
    """

    checkpoint: Checkpoint | None
    certificates: tuple[Statement, ...]
    findings: tuple[Finding, ...]
    memory: Memory | None

    @property
    def flagged(self) -> bool:
        """Is there something for a person to do?"""
        return any(finding.flagged for finding in self.findings)


class Monitor:
    """Looks at a server.

    Args:
        client: asks it.
        log: its log.
        keyring: the keys to trust.
        witnesses: that must have cosigned the log.
        budget: the most nats that may be left of what was erased.
        patience: seconds to wait for the log to be published, and for witnesses.
    """

    def __init__(
        self,
        client: Client,
        log: Log,
        keyring: Keyring,
        witnesses: Witnesses,
        budget: float,
        patience: float,
    ) -> None:
        self._client = client
        self._log = log
        self._keyring = keyring
        self._witnesses = witnesses
        self._budget = budget
        self._patience = patience

    def look(self, memory: Memory, now: datetime) -> Look:
        """Verifies what is new since a look before.

        Raises:
            UnlearnError: the server refused to answer, or could not be reached.
            UnavailableError: the log could not be had.
        """
        try:
            return self._look(memory, now)
        except UnavailableError:
            raise
        except VerificationError as error:
            return Look(None, (), (Finding("the log", str(error)),), None)

    def _look(self, memory: Memory, now: datetime) -> Look:
        keys_json = self._log.read("keys.json", MAX_KEYS_BYTES)
        keyring = self._keyring.extended(keys_json) if keys_json else self._keyring
        current, lacking = wait_for_witnesses(self._log, keyring, self._witnesses, self._patience)
        saved = memory.checkpoint.encode() if memory.checkpoint else None
        History(keyring, Pinned(self._log, current), saved)
        reports = list(self._entries(memory.seen, current, keyring))
        said = [report.statement for report in reports if report.statement]
        statements = [statement for statement in said if statement.kind != rotations.TYPE]
        refusals = [_refusal(report) for report in reports if report.refusal]
        course = Course(memory, self._budget)
        findings = [
            *([Finding("the log", lacking)] if lacking else []),
            *refusals,
            *course.rotated(tuple(known.key.fingerprint for known in keyring.keys)),
            *(finding for each in statements for finding in course.certified(each)),
            *course.requests(self._client.list_erasures(WATCHED), now),
        ]
        later = None if refusals else course.memory(current)
        return Look(current, tuple(statements), tuple(findings), later)

    def _entries(self, start: int, current: Checkpoint, keyring: Keyring) -> Iterator[Report]:
        """What came of verifying each entry from an index on."""
        indices = range(start, current.size)
        for first in range(0, len(indices), _AT_ONCE):
            yield from self._verified(indices[first : first + _AT_ONCE], current, keyring)

    def _verified(
        self, indices: Sequence[int], current: Checkpoint, keyring: Keyring
    ) -> Iterator[Report]:
        given = {index: found for index in indices if (found := self._given(index))}
        # The server may show them under a newer checkpoint than the one that was read.
        sizes = [read_proof(each.tlog_proof).checkpoint.size for each in given.values()]
        wait_for_size(self._log, max(sizes, default=0), self._patience)
        files = {}
        for index, certificate in given.items():
            files[f"certificates/{index}"] = certificate.envelope
            files[f"the proof of certificates/{index}"] = certificate.tlog_proof
        reports = verify(files, keyring, self._log, current.note).reports
        yield from reports
        shown = {report.statement.index for report in reports if report.statement}
        refused = {name for report in reports if report.refusal for name in report.files}
        for index in indices:
            if index not in shown and f"certificates/{index}" not in refused:
                yield Report((f"certificates/{index}",), "the log has it, and the server has not")

    def _given(self, index: int) -> Certificate | None:
        """A certificate as the server gives it; None: it has none there."""
        try:
            return self._client.get_certificate(str(index))
        except UnlearnError as error:
            if error.code == grpc.StatusCode.NOT_FOUND:
                return None
            raise


def _refusal(report: Report) -> Finding:
    return Finding(", ".join(report.files), f"is refused: {report.refusal}")
