"""Ed25519 public keys, and the names they go by in envelopes, entries and notes."""

from base64 import b64encode
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from unlearn_client.errors import VerificationError
from unlearn_client.verification.encoding import base64

KEY_BYTES = 32
SIGNATURE_BYTES = 64

_SPKI = bytes.fromhex("302a300506032b6570032100")
"""What comes before the key in DER (RFC 8410, section 4)."""

NOTE_ED25519 = b"\x01"
"""The type of Ed25519 signatures in signed notes (C2SP signed-note)."""

COSIGNATURE_ED25519 = b"\x04"
"""The type of witnesses' signatures, which say when (C2SP tlog-cosignature)."""


@dataclass(frozen=True)
class PublicKey:
    """A key; equal if the bytes are.

    Attributes:
        raw: 32 bytes (RFC 8032).
    """

    raw: bytes

    @classmethod
    def from_pem(cls, pem: bytes) -> "PublicKey":
        """Reads a PEM public key.

        Raises:
            VerificationError: it is none, or not of Ed25519.
        """
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise VerificationError("the key is not a PEM public key") from None
        if not isinstance(key, Ed25519PublicKey):
            raise VerificationError("the key is not an Ed25519 key")
        return cls(key.public_bytes_raw())

    @classmethod
    def from_der(cls, der: bytes) -> "PublicKey":
        """Reads a DER SubjectPublicKeyInfo.

        Raises:
            VerificationError: it is not one of Ed25519.
        """
        if der[: len(_SPKI)] != _SPKI or len(der) != len(_SPKI) + KEY_BYTES:
            raise VerificationError("the key is not an Ed25519 public key in DER")
        return cls(der[len(_SPKI) :])

    @cached_property
    def der(self) -> bytes:
        """The SubjectPublicKeyInfo."""
        return _SPKI + self.raw

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the DER in hexadecimal: the keyid of envelopes."""
        return sha256(self.der).hexdigest()

    def note_id(self, name: str, kind: bytes = NOTE_ED25519) -> bytes:
        """The 4 bytes by which notes signed under a name refer to the key."""
        return sha256(name.encode() + b"\n" + kind + self.raw).digest()[:4]

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Is it the key's signature of the message?"""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


def read_verifier_key(text: str, kind: bytes = NOTE_ED25519) -> tuple[str, PublicKey]:
    """The name and the key of a vkey: ``<name>+<hex id>+<base64 type and key>``.

    Raises:
        VerificationError: it is malformed, or its id is another key's.
    """
    name, _, rest = text.partition("+")
    key_id, _, material = rest.partition("+")
    decoded = base64(material, "the verifier key", 1 + KEY_BYTES)
    if decoded[:1] != kind:
        raise VerificationError(
            f"the verifier key is of type {decoded[0]} instead of {kind[0]}: an Ed25519 key is "
            "of type 1 if it is a log's, and 4 if it is a witness's"
        )
    key = PublicKey(decoded[1:])
    if not is_key_name(name) or key_id != key.note_id(name, kind).hex():
        raise VerificationError("the verifier key's id does not fit its name and key")
    return name, key


def is_key_name(name: str) -> bool:
    """May a note be signed under this name? It is shown, so it must be printable too."""
    return bool(name) and name.isprintable() and not set(name) & set(" +")


def encode(value: bytes) -> str:
    """Standard base64."""
    return b64encode(value).decode()
