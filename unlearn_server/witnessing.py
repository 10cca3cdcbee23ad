"""Asks witnesses to sign the log's newest checkpoint (c2sp.org/tlog-witness).

Nothing waits for them but the publication of the checkpoint itself, and that not for long: a
witness that does not answer is asked less and less often.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.client import HTTPException
from time import monotonic
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import build_opener

import structlog

from unlearn_server.errors import StartupError
from unlearn_server.ledger import log
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.log import Head
from unlearn_server.log import cosignatures, merkle
from unlearn_server.log.notes import SignatureType, VerifierKey
from unlearn_server.metrics import Metrics

_TIMEOUT_SECONDS = 3.0
_LARGEST_ANSWER = 2**16
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0

_log = structlog.get_logger(__name__)


class _RefusedError(Exception):
    """A witness does not sign, and says why."""


@dataclass
class Witness:
    """A witness, and when to ask it again.

    Attributes:
        key: that it signs with.
        url: its submission prefix.
        pause: seconds to wait after the next failure.
        not_before: when it may be asked, on the monotonic clock.
    """

    key: VerifierKey
    url: str
    pause: float = _FIRST_PAUSE_SECONDS
    not_before: float = 0.0

    def failed(self) -> None:
        """Leaves it alone for a while, twice as long each time."""
        self.not_before = monotonic() + self.pause
        self.pause = min(2 * self.pause, _LONGEST_PAUSE_SECONDS)

    def answered(self) -> None:
        """It is there."""
        self.pause = _FIRST_PAUSE_SECONDS


def witnesses_of(told: Iterable[tuple[str, str]]) -> list[Witness]:
    """Witnesses from pairs of a verifier key and a URL; raises StartupError if one is none."""
    found = [Witness(_key(text), _prefix(url)) for text, url in told]
    if len({witness.key.public_key for witness in found}) < len(found):
        raise StartupError("--witness: one is named twice; name each once")
    return found


class Witnessing:
    """Asks the witnesses that have not signed the newest checkpoint yet."""

    def __init__(
        self,
        database: Database,
        witnesses: Sequence[Witness],
        wanted: int | None,
        metrics: Metrics,
    ) -> None:
        """Raises StartupError if more are wanted than there are."""
        self._database = database
        self._witnesses = witnesses
        self._wanted = len(witnesses) if wanted is None else wanted
        self._metrics = metrics
        self._unwitnessed_since: float | None = None
        metrics.unwitnessed_seconds.set_function(self._unwitnessed_seconds)
        if self._wanted > len(witnesses):
            message = f"are more than the {len(witnesses)} named; name more with --witness"
            raise StartupError(f"--witnesses-wanted: {message}")

    def cosigned(self, head: Head) -> str:
        """A head's checkpoint, with the lines of those that sign it now.

        Of several servers the one that holds the lease asks; the others learn what they signed.
        """
        if not self._witnesses or not head.frontier.size or self._database.fence is None:
            return head.checkpoint
        missing = [each for each in self._witnesses if not _has_signed(each, head)]
        count = len(self._witnesses) - len(missing)
        lines = self._ask([each for each in missing if each.not_before <= monotonic()], head)
        count += len(lines)
        self._metrics.cosignatures.set(count)
        self._note_whether(count >= self._wanted)
        if not lines:
            return head.checkpoint
        with self._database.write() as conn:
            return log.cosign(conn, head, lines, witnessed=count >= self._wanted)

    def _ask(self, witnesses: Sequence[Witness], head: Head) -> dict[str, str]:
        """Lines of signatures, by the verifier keys of the witnesses that gave one."""
        if not witnesses:
            return {}
        with ThreadPoolExecutor(len(witnesses), thread_name_prefix="witness") as pool:
            answers = pool.map(partial(self._line, head), witnesses)
            asked = zip(witnesses, answers, strict=True)
            return {str(witness.key): line for witness, line in asked if line}

    def _line(self, head: Head, witness: Witness) -> str | None:
        try:
            line = self._cosignature(head, witness)
        except (_RefusedError, OSError, HTTPException, ValueError) as error:
            witness.failed()
            event = "a witness did not sign the log"
            _log.warning(event, witness=witness.key.name, problem=str(error))
            return None
        witness.answered()
        return line

    def _cosignature(self, head: Head, witness: Witness) -> str:
        """The witness's line; raises one of several errors if it gives none."""
        old = head.cosigned_sizes.get(str(witness.key), 0)
        status, answer = self._add_checkpoint(head, witness, old)
        if status == HTTPStatus.CONFLICT:
            known = int(answer)
            if known < old:
                event = "a witness forgot what it signed: it was rolled back"
                _log.error(event, witness=witness.key.name, signed=old, knows=known)
            if known > head.frontier.size:
                raise _RefusedError(
                    f"it has signed {known} entries of this log, which holds only "
                    f"{head.frontier.size}: an older copy of the database is in use"
                )
            status, answer = self._add_checkpoint(head, witness, known)
        if status != HTTPStatus.OK:
            raise _RefusedError(f"HTTP status {status}: {answer.strip()[:200]}")
        return cosignatures.cosignature(answer, witness.key, head.checkpoint)

    def _add_checkpoint(self, head: Head, witness: Witness, old: int) -> tuple[int, str]:
        """Status and answer to a request that starts from a size of the log."""
        with self._database.read() as conn:
            new, nodes = head.frontier.size, log.nodes_of(conn)
            proof = merkle.consistency_proof(old, new, nodes) if old else []
        return _post(
            f"{witness.url}/add-checkpoint", cosignatures.request(old, proof, head.checkpoint)
        )

    def _note_whether(self, is_witnessed: bool) -> None:
        if is_witnessed:
            self._unwitnessed_since = None
        elif self._unwitnessed_since is None:
            self._unwitnessed_since = monotonic()

    def _unwitnessed_seconds(self) -> float:
        since = self._unwitnessed_since
        return 0.0 if since is None else monotonic() - since


def _has_signed(witness: Witness, head: Head) -> bool:
    return head.cosigned_sizes.get(str(witness.key)) == head.frontier.size


def _key(text: str) -> VerifierKey:
    try:
        key = VerifierKey.from_text(text)
    except (ValueError, StartupError):
        key = None
    if key is None or key.type != SignatureType.COSIGNATURE:
        raise StartupError("--witness: has no verifier key of a witness; give what it prints")
    return key


def _prefix(url: str) -> str:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise StartupError("--witness: has no URL that begins with http:// or https://")
    return url.rstrip("/")


def _post(url: str, body: bytes) -> tuple[int, str]:
    """Status and beginning of the answer; OSError or HTTPException if none comes in time."""
    try:
        with build_opener().open(url, body, timeout=_TIMEOUT_SECONDS) as answer:
            return answer.status, answer.read(_LARGEST_ANSWER).decode()
    except HTTPError as error:
        with error:
            return error.code, error.read(_LARGEST_ANSWER).decode()
