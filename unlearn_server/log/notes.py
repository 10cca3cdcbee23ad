"""Signed notes and checkpoints: c2sp.org/signed-note and c2sp.org/tlog-checkpoint.

A note may carry signatures of several keys and types. Whoever knows none of them but one
still can check it: a witness adds its line, and nothing else changes.
"""

import hashlib
from base64 import b64decode
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from unlearn_server.errors import StartupError
from unlearn_server.log.base64text import encoded

_KEY_BYTES = 32


class SignatureType(IntEnum):
    """The byte that c2sp.org/signed-note assigns to an algorithm."""

    ED25519 = 1
    COSIGNATURE = 4
    """Of a witness, with a time: c2sp.org/tlog-cosignature, over Ed25519."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name; as text, it is what verifiers are configured with.

    Attributes:
        name: for a log its origin, such as ``unlearn.example/log``.
        type: the algorithm.
        public_key: as the algorithm encodes it; 32 bytes for Ed25519 (RFC 8032).

    Raises:
        StartupError: if the name cannot stand in a note.
    """

    name: str
    type: SignatureType
    public_key: bytes

    def __post_init__(self) -> None:
        if not self.name.isprintable() or self.name.split() != [self.name] or "+" in self.name:
            message = "must be a name without spaces and +, such as unlearn.example/log"
            raise StartupError(f"origin: {message}")

    @classmethod
    def from_text(cls, text: str) -> "VerifierKey":
        """Reverses ``str``; raises ValueError if the text is no key of a known type."""
        name, key_id, material = text.split("+", 2)
        typed = b64decode(material, validate=True)
        key = cls(name, SignatureType(typed[0]), typed[1:]) if typed else None
        if key is None or len(key.public_key) != _KEY_BYTES or key.id.hex() != key_id:
            raise ValueError("the verifier key: is malformed")
        return key

    @property
    def digest(self) -> bytes:
        """SHA-256 of name and key, 32 bytes: the id of a log in a Sigstore bundle."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._typed).digest()

    @property
    def id(self) -> bytes:
        """The 4 bytes by which a signature line names its key."""
        return self.digest[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{encoded(self._typed)}"

    @property
    def _typed(self) -> bytes:
        return bytes([self.type]) + self.public_key


class NoteSigner(Protocol):
    """Signs the text of notes with one key."""

    @property
    def verifier_key(self) -> VerifierKey:
        """The key that verifies."""

    def sign(self, text: bytes) -> bytes:
        """The signature, as its type encodes it."""


class Ed25519NoteSigner:
    """Signs with Ed25519 under a name.

    Attributes:
        verifier_key: the key that verifies.
    """

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        public_key = key.public_key().public_bytes_raw()
        self.verifier_key = VerifierKey(name, SignatureType.ED25519, public_key)
        self._key = key

    def sign(self, text: bytes) -> bytes:
        """The 64 bytes of RFC 8032."""
        return self._key.sign(text)


def checkpoint(size: int, root: bytes, log: NoteSigner, *others: NoteSigner) -> str:
    """The signed head of a log of ``size`` leaves, whose tree has that root.

    Its origin is the name of the log's own key. A log must never sign two heads that no
    consistency proof joins.
    """
    text = f"{log.verifier_key.name}\n{size}\n{encoded(root)}\n"
    return signed(text, log, *others)


def tree_of(note: str) -> tuple[int, bytes]:
    """Size and root in a checkpoint; ValueError if it is none. Its signatures are not checked."""
    try:
        _, size, root, *_ = note.split("\n")
        return int(size), b64decode(root, validate=True)
    except ValueError as error:
        raise ValueError("the checkpoint: has no size and root") from error


def is_signed(note: str, key: VerifierKey) -> bool:
    """Whether an Ed25519 key signed a note."""
    text, _, lines = note.rpartition("\n\n")
    verifier = Ed25519PublicKey.from_public_bytes(key.public_key)
    for line in lines.splitlines():
        signature = b64decode(line.rpartition(" ")[2])
        if signature[:4] == key.id:
            try:
                verifier.verify(signature[4:], f"{text}\n".encode())
            except InvalidSignature:
                return False
            return True
    return False


def signed(text: str, *signers: NoteSigner) -> str:
    """A note of ``text``, which ends in a newline, and a line for each signature."""
    return f"{text}\n" + "".join(_signature_line(text, signer) for signer in signers)


def _signature_line(text: str, signer: NoteSigner) -> str:
    key = signer.verifier_key
    return f"\N{EM DASH} {key.name} {encoded(key.id + signer.sign(text.encode()))}\n"
