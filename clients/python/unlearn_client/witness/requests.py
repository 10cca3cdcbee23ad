"""What a log asks of a witness: the body of ``add-checkpoint`` (C2SP tlog-witness)."""

from dataclasses import dataclass

from unlearn_client.errors import VerificationError
from unlearn_client.verification.encoding import base64, decimal, utf8
from unlearn_client.verification.merkle import HASH_BYTES, MAX_PROOF
from unlearn_client.verification.notes import MAX_NOTE_BYTES, Checkpoint, read_checkpoint

MAX_REQUEST_BYTES = MAX_NOTE_BYTES + 4096
"""A note, and before it a size and 63 hashes of 45 bytes each."""


@dataclass(frozen=True)
class AddCheckpoint:
    """A request to cosign.

    Attributes:
        old_size: of the checkpoint that the witness signed last, as the log believes.
        proof: that that one is the beginning of this one.
        checkpoint: not believed yet.
    """

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: Checkpoint


def read_request(body: bytes) -> AddCheckpoint:
    """Reads a request.

    Raises:
        EmptyLogError: its checkpoint is of an empty log, whose root is another.
        VerificationError: it is malformed.
    """
    head, separator, note = utf8(body, "the request", MAX_REQUEST_BYTES).partition("\n\n")
    first, *lines = head.split("\n")
    if not separator or not first.startswith("old "):
        raise VerificationError("the request is no old size, proof, empty line and checkpoint")
    if len(lines) > MAX_PROOF:
        raise VerificationError(f"the proof has more than {MAX_PROOF} hashes")
    return AddCheckpoint(
        decimal(first.removeprefix("old "), "the old size"),
        tuple(base64(line, "a hash of the proof", HASH_BYTES) for line in lines),
        read_checkpoint(note.encode()),
    )
