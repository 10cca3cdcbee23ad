"""What a witness signed last of each log: the one thing that it must never forget.

It is a file of checkpoints, each under the witness's own signature, so that a file that was
damaged, or is another witness's, is told. What cannot be told is an older copy put in its
place: nothing in it is wrong. The logs notice it, whose checkpoints the witness then has not
seen; a state that is restored from a backup therefore needs a new key.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unlearn_client.errors import VerificationError, WitnessError
from unlearn_client.files import replace
from unlearn_client.verification.cosignatures import Witness
from unlearn_client.verification.encoding import json_object
from unlearn_client.verification.members import Members
from unlearn_client.verification.notes import Checkpoint, read_checkpoint

MAX_STATE_BYTES = 64 * 2**20


class State:
    """The newest checkpoint of each log, in a file that one process has.

    Attributes:
        checkpoints: by origin, each with the signatures of its log and of the witness.
    """

    def __init__(
        self, path: Path, verifier_key: str, checkpoints: Mapping[str, Checkpoint]
    ) -> None:
        self._path = path
        self._verifier_key = verifier_key
        self.checkpoints = checkpoints

    @classmethod
    def read(cls, path: Path, witness: Witness, verifier_key: str) -> "State":
        """Reads a witness's file.

        Raises:
            WitnessError: it is damaged, or another witness's.
            OSError: it cannot be read.
        """
        try:
            document = Members(
                json_object(path.read_bytes(), "the state", MAX_STATE_BYTES), "the state"
            )
            owner, notes = document.text("witness"), document.get("checkpoints")
            if owner != verifier_key:
                raise WitnessError(
                    f"{path}: is the state of {owner}, not of the key given; they belong together"
                )
            if not isinstance(notes, dict):
                raise document.error("checkpoints", "an object")
            checkpoints = {
                origin: _checked(origin, note, witness) for origin, note in notes.items()
            }
        except VerificationError as error:
            raise WitnessError(
                f"{path}: is damaged ({error}). What was signed cannot be known now: begin "
                "another witness, with a new key"
            ) from None
        return cls(path, verifier_key, checkpoints)

    def begin(self) -> None:
        """Makes the file.

        Raises:
            OSError: it could not be written.
        """
        self._write(self.checkpoints)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Puts a checkpoint in the place of its log's; on disk when this returns.

        Raises:
            OSError: it could not be written; the old one still counts.
        """
        checkpoints = {**self.checkpoints, checkpoint.origin: checkpoint}
        self._write(checkpoints)
        self.checkpoints = checkpoints

    def _write(self, checkpoints: Mapping[str, Checkpoint]) -> None:
        notes = {origin: each.note.decode() for origin, each in checkpoints.items()}
        document = {"witness": self._verifier_key, "checkpoints": notes}
        replace(self._path, json.dumps(document, indent=1).encode())


def _checked(origin: str, note: Any, witness: Witness) -> Checkpoint:
    if not isinstance(note, str):
        raise VerificationError("a checkpoint in it is no text")
    checkpoint = read_checkpoint(note.encode())
    if checkpoint.origin != origin or witness.time_of(checkpoint) is None:
        raise VerificationError("a checkpoint in it is not signed by the witness")
    return checkpoint
