"""A log has one history: every checkpoint seen must be the beginning of every later one."""

from bisect import bisect

from unlearn_client.errors import VerificationError
from unlearn_client.verification.keyrings import Keyring
from unlearn_client.verification.merkle import verify_consistency
from unlearn_client.verification.notes import MAX_NOTE_BYTES, Checkpoint, read_checkpoint
from unlearn_client.verification.tiles import Log


class History:
    """The checkpoints of one log that were found consistent with each other.

    It starts with the checkpoint saved earlier and the one that the log publishes now,
    where there are such.

    Attributes:
        saved: the checkpoint from before; None: none was kept.
        current: the log's own; None: only files are at hand.

    Args:
        keyring: one of its keys must have signed those two.
        log: where proofs come from; None: only checkpoints of equal size can be compared.
        saved: the note kept from before, which all others must be consistent with.

    Raises:
        VerificationError: one of those two is malformed, is not signed, or contradicts the
            other.
    """

    def __init__(self, keyring: Keyring, log: Log | None, saved: bytes | None) -> None:
        self._log = log
        self._seen: list[Checkpoint] = []
        self.saved = _signed(saved, keyring) if saved is not None else None
        self.current = _signed(_published(log), keyring) if log else None
        for known in (self.saved, self.current):
            if known:
                self.admit(known)

    @property
    def newest(self) -> Checkpoint | None:
        """The largest checkpoint; None if there is none."""
        return self._seen[-1] if self._seen else None

    def admit(self, checkpoint: Checkpoint) -> None:
        """Adds a checkpoint whose signature was checked.

        Raises:
            VerificationError: it shows another history, or nothing shows that it does not.
        """
        if self._seen and checkpoint.origin != self._seen[0].origin:
            raise VerificationError(
                f"it is in another log, {checkpoint.origin}, than {self._seen[0].origin}: "
                "verify the certificates of one log at a time, each with its own --checkpoint"
            )
        if self.current and checkpoint.size > self.current.size:
            raise VerificationError(
                f"the log as published has {self.current.size} entries, and showed "
                f"{checkpoint.size} before: it was rolled back, or its copy is old; if the "
                "certificate is new, try again later"
            )
        place = bisect(self._seen, checkpoint.size, key=lambda seen: seen.size)
        if place:
            self._compare(self._seen[place - 1], checkpoint)
        if place < len(self._seen):
            self._compare(checkpoint, self._seen[place])
        self._seen.insert(place, checkpoint)

    def _compare(self, older: Checkpoint, newer: Checkpoint) -> None:
        proof: list[bytes] = []
        if older.size != newer.size and self._log:
            proof = self._log.consistency_proof(older.size, newer.size)
        elif older.size != newer.size:
            self._go_without(older, newer)
            return
        verify_consistency(older.size, newer.size, proof, older.root, newer.root)

    def _go_without(self, older: Checkpoint, newer: Checkpoint) -> None:
        """Two files of different size are no contradiction; a saved checkpoint asks for proof."""
        if self.saved:
            raise VerificationError(
                f"nothing shows that the {older.size} entries the log once had are the first "
                f"of the {newer.size} it has later: give --log"
            )


def _signed(note: bytes, keyring: Keyring) -> Checkpoint:
    checkpoint = read_checkpoint(note)
    keyring.verify_checkpoint(checkpoint)
    return checkpoint


def _published(log: Log) -> bytes:
    note = log.read("checkpoint", MAX_NOTE_BYTES)
    if note is None:
        raise VerificationError("--log holds no log: it has no checkpoint")
    return note
