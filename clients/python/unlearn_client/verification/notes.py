"""Signed notes and the checkpoints in them (C2SP signed-note, tlog-checkpoint)."""

import re
from dataclasses import dataclass

from unlearn_client.errors import VerificationError
from unlearn_client.verification.encoding import base64, decimal, utf8
from unlearn_client.verification.keys import SIGNATURE_BYTES, PublicKey, encode, is_key_name
from unlearn_client.verification.merkle import EMPTY_ROOT, HASH_BYTES

MAX_NOTE_BYTES = 128 * 2**10
MAX_SIGNATURES = 64
"""Witnesses may cosign; the specification asks for room for 16."""

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class EmptyLogError(VerificationError):
    """A checkpoint of no entries has a root hash that they cannot have."""


@dataclass(frozen=True)
class Signature:
    """A line below a note.

    Attributes:
        name: of the key.
        key_id: 4 bytes.
        value: the signature itself.
    """

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        """The line, with its end."""
        return f"— {self.name} {encode(self.key_id + self.value)}\n"


@dataclass(frozen=True)
class Checkpoint:
    """What a log says it holds. It is worth nothing until its signature is checked.

    Attributes:
        note: as it was read, to be stored again.
        text: what is signed.
        signatures: all of them.
        origin: the log's identity.
        size: how many entries it has.
        root: 32 bytes, of the tree over them.
    """

    note: bytes
    text: bytes
    signatures: tuple[Signature, ...]
    origin: str
    size: int
    root: bytes

    def signed_by(self, key: PublicKey) -> bool:
        """Did this key sign it, in the name of the log?

        Raises:
            VerificationError: a signature says that it is the key's, and is not.
        """
        ours = self.signatures_of(self.origin, key.note_id(self.origin))
        for signature in ours:
            if len(signature.value) != SIGNATURE_BYTES or not key.signed(
                self.text, signature.value
            ):
                raise VerificationError("the checkpoint was altered: its signature does not fit")
        return bool(ours)

    def signatures_of(self, name: str, key_id: bytes) -> list[Signature]:
        """Those that say that they are a key's."""
        return [s for s in self.signatures if (s.name, s.key_id) == (name, key_id)]


def read_checkpoint(note: bytes) -> Checkpoint:
    """Reads a checkpoint, whoever signed it.

    Raises:
        VerificationError: it is malformed.
    """
    content = utf8(note, "the checkpoint", MAX_NOTE_BYTES)
    if _CONTROL.search(content):
        raise VerificationError("the checkpoint holds control characters")
    text, separator, below = content.rpartition("\n\n")
    if not separator or not below.endswith("\n"):
        raise VerificationError("the checkpoint is not a signed note")
    lines = text.split("\n")
    if len(lines) < 3 or not all(lines):
        raise VerificationError("the checkpoint has no origin, size and root hash")
    origin, size, root = _body(*lines[:3])
    signatures = tuple(_signature(line) for line in _signature_lines(below))
    return Checkpoint(note, (text + "\n").encode(), signatures, origin, size, root)


def _body(origin: str, size_text: str, root_text: str) -> tuple[str, int, bytes]:
    if not origin.isprintable():
        raise VerificationError("the checkpoint's origin cannot be shown")
    size = decimal(size_text, "the checkpoint's size")
    root = base64(root_text, "the checkpoint's root hash", HASH_BYTES)
    if size == 0 and root != EMPTY_ROOT:
        raise EmptyLogError("the checkpoint's root hash is not that of an empty log")
    return origin, size, root


def _signature_lines(below: str) -> list[str]:
    lines = below[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise VerificationError(f"the checkpoint has more than {MAX_SIGNATURES} signatures")
    return lines


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "—" or not is_key_name(name):
        raise VerificationError("a line below the checkpoint is not a signature")
    value = base64(encoded, "a checkpoint's signature")
    if len(value) <= 4:
        raise VerificationError("a checkpoint's signature is too short")
    return Signature(name, value[:4], value[4:])
