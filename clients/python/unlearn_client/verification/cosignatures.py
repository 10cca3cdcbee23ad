"""Witnesses, who sign a log's checkpoint once they saw that it continues the one before.

A log that shows two histories must have as many honest witnesses as are asked for to sign
both, which they do not (C2SP tlog-cosignature, type 4: Ed25519 with a timestamp).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from unlearn_client.errors import VerificationError
from unlearn_client.verification.keys import (
    COSIGNATURE_ED25519,
    SIGNATURE_BYTES,
    PublicKey,
    read_verifier_key,
)
from unlearn_client.verification.notes import Checkpoint, Signature

TIME_BYTES = 8


@dataclass(frozen=True)
class Witness:
    """Who may cosign; equal to another only if name and key are.

    Attributes:
        name: that its signatures stand under.
        key: that makes them.
    """

    name: str
    key: PublicKey

    @classmethod
    def read(cls, verifier_key: str) -> "Witness":
        """Reads a vkey.

        Raises:
            VerificationError: it is malformed, or not of a witness.
        """
        return cls(*read_verifier_key(verifier_key, COSIGNATURE_ED25519))

    @property
    def key_id(self) -> bytes:
        """The 4 bytes by which its signatures name the key."""
        return self.key.note_id(self.name, COSIGNATURE_ED25519)

    def time_of(self, checkpoint: Checkpoint) -> datetime | None:
        """When it cosigned a checkpoint, the last time; None: it did not.

        Raises:
            VerificationError: a signature says that it is the witness's, and is not.
        """
        ours = checkpoint.signatures_of(self.name, self.key_id)
        return max((self._verified(each, checkpoint.text) for each in ours), default=None)

    def _verified(self, cosignature: Signature, text: bytes) -> datetime:
        stamp, signature = cosignature.value[:TIME_BYTES], cosignature.value[TIME_BYTES:]
        seconds = int.from_bytes(stamp)
        if len(signature) == SIGNATURE_BYTES and self.key.signed(
            cosigned_text(seconds, text), signature
        ):
            return self._time(seconds)
        raise VerificationError(
            f"the checkpoint was altered: the signature of the witness {self.name} does not fit"
        )

    def _time(self, seconds: int) -> datetime:
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError):  # beyond the year 9999
            raise VerificationError(f"the witness {self.name} gives no possible time") from None


@dataclass(frozen=True)
class Cosignature:
    """That a witness signed a checkpoint.

    Attributes:
        witness: its name.
        time: when, as it says.
    """

    witness: str
    time: datetime


class Witnesses:
    """The witnesses that count, and how many of them a checkpoint needs.

    Args:
        known: no two with one key, so that none counts twice.
        wanted: from 0 to as many as are known.

    Raises:
        VerificationError: that cannot be.
    """

    def __init__(self, known: Iterable[Witness], wanted: int) -> None:
        self._known = tuple(known)
        self._wanted = wanted
        if len({witness.key for witness in self._known}) < len(self._known):
            raise VerificationError("a witness is named twice")
        if not 0 <= wanted <= len(self._known):
            raise VerificationError(
                f"{wanted} of {len(self._known)} witnesses are wanted; name more of them"
            )

    def verify(self, checkpoint: Checkpoint) -> tuple[Cosignature, ...]:
        """Who of them cosigned a checkpoint, and when.

        Raises:
            VerificationError: too few did, or a signature that names one of them is not its.
        """
        found = tuple(self._found(checkpoint))
        if len(found) < self._wanted:
            raise VerificationError(
                f"only {len(found)} of the {self._wanted} witnesses wanted cosigned the log at "
                f"its size {checkpoint.size}: fetch it again later, since they may come still"
            )
        return found

    def _found(self, checkpoint: Checkpoint) -> Iterator[Cosignature]:
        for witness in self._known:
            if time := witness.time_of(checkpoint):
                yield Cosignature(witness.name, time)


def cosigned_text(seconds: int, text: bytes) -> bytes:
    """What a witness signs of a checkpoint's text, in seconds since 1970."""
    return b"cosignature/v1\ntime %d\n%b" % (seconds, text)
