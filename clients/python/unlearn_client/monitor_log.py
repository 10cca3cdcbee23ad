"""The log that a monitor follows: as it is published, or as the server itself answers for it."""

from time import monotonic, sleep

from unlearn_client.client import Client
from unlearn_client.errors import UnavailableError, VerificationError
from unlearn_client.verification import Checkpoint, Keyring, Log, Witnesses, read_checkpoint
from unlearn_client.verification.notes import MAX_NOTE_BYTES

_PAUSE_SECONDS = 0.2


class ServedLog(Log):
    """A log of which the server is asked; nothing shows then how its keys changed."""

    def __init__(self, client: Client) -> None:
        super().__init__(self._answer)
        self._client = client

    def consistency_proof(self, first: int, second: int) -> list[bytes]:
        """PROOF(first, D[second]) of RFC 6962, for 0 <= first <= second.

        Raises:
            UnlearnError: the server refused it, or did not answer in time.
        """
        if first in (0, second):
            return []
        return self._client.get_consistency_proof(first, second)

    def _answer(self, path: str, limit: int) -> bytes | None:
        del limit  # of gRPC's there is one already
        return self._client.get_checkpoint().note if path == "checkpoint" else None


class Pinned(Log):
    """A log at one of its checkpoints."""

    def __init__(self, log: Log, checkpoint: Checkpoint) -> None:
        super().__init__(lambda path, _: checkpoint.note if path == "checkpoint" else None)
        self._log = log

    def consistency_proof(self, first: int, second: int) -> list[bytes]:
        """The log's."""
        return self._log.consistency_proof(first, second)


def published(log: Log) -> Checkpoint:
    """The checkpoint that a log shows now, whoever signed it.

    Raises:
        UnavailableError: there is none.
        VerificationError: it is malformed.
    """
    note = log.read("checkpoint", MAX_NOTE_BYTES)
    if note is None:
        raise UnavailableError("there is no log: it has no checkpoint")
    return read_checkpoint(note)


def wait_for_size(log: Log, size: int, patience: float) -> None:
    """Waits until a log is published at a size: it follows the server a little later.

    Raises:
        UnavailableError: it is not, in so many seconds.
    """
    give_up = monotonic() + patience
    while published(log).size < size:
        if monotonic() > give_up:
            raise UnavailableError(f"the log is not published at its size {size} yet")
        sleep(_PAUSE_SECONDS)


def wait_for_witnesses(
    log: Log, keyring: Keyring, witnesses: Witnesses, patience: float
) -> tuple[Checkpoint, str]:
    """A signed checkpoint of a log and what it lacks; nothing if witnesses signed it in time.

    Raises:
        VerificationError: none of the keys signed it, or it was altered.
    """
    give_up = monotonic() + patience
    while True:
        checkpoint = published(log)
        keyring.verify_checkpoint(checkpoint)
        try:
            witnesses.verify(checkpoint)
        except VerificationError as error:
            if monotonic() > give_up:
                return checkpoint, str(error)
            sleep(_PAUSE_SECONDS)
        else:
            return checkpoint, ""
