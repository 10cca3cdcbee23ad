"""The logs that a witness knows: it signs nothing of others."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from unlearn_client.errors import VerificationError, WitnessError
from unlearn_client.verification.keys import PublicKey, read_verifier_key
from unlearn_client.verification.notes import Checkpoint, Signature


@dataclass(frozen=True)
class Log:
    """A log and the keys that may sign its checkpoints; several while it changes its key.

    Attributes:
        origin: its name.
        keys: at least one.
    """

    origin: str
    keys: tuple[PublicKey, ...]

    def signatures(self, checkpoint: Checkpoint) -> list[Signature]:
        """Those of its keys on a checkpoint; none if none of them signed it.

        Raises:
            VerificationError: one says that it is a key's, and is not.
        """
        signers = [key for key in self.keys if checkpoint.signed_by(key)]
        ids = [key.note_id(self.origin) for key in signers]
        return [found for each in ids for found in checkpoint.signatures_of(self.origin, each)]


def read_logs(verifier_keys: Iterable[str]) -> Mapping[str, Log]:
    """Logs by their origin, from the vkeys of their keys.

    Raises:
        WitnessError: one is malformed, or not of a log.
    """
    logs: dict[str, Log] = {}
    for text in verifier_keys:
        try:
            origin, key = read_verifier_key(text)
        except VerificationError as error:
            raise WitnessError(f"--log: {error}") from None
        known = logs.get(origin, Log(origin, ()))
        logs[origin] = Log(origin, tuple(dict.fromkeys((*known.keys, key))))
    return logs
