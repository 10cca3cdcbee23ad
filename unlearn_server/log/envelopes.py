"""Statements in signed envelopes: in-toto attestations in DSSE (secure-systems-lab/dsse).

What is signed is the pre-authentication encoding, which begins with ``DSSEv1``; no note
does, so one key may sign both.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, Signer, SSlibKey

__all__ = ["Envelope", "Signer"]

STATEMENT = "application/vnd.in-toto+json"


def signer(key: Ed25519PrivateKey) -> Signer:
    """Signs envelopes with Ed25519; its signatures name the key by its ``key_id``."""
    public_key = key.public_key()
    return CryptoSigner(key, SSlibKey.from_crypto(public_key, key_id(public_key)))


def key_id(key: Ed25519PublicKey) -> str:
    """Hex SHA-256 of the key's ``spki``."""
    return hashlib.sha256(spki(key)).hexdigest()


def spki(key: Ed25519PublicKey) -> bytes:
    """The DER of a key's SubjectPublicKeyInfo (RFC 8410)."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sign(statement: Mapping[str, Any], signer: Signer) -> Envelope:
    """An envelope of a statement's RFC 8785 bytes; rfc8785 raises if it has none."""
    envelope = Envelope(rfc8785.dumps(dict(statement)), STATEMENT, {})
    envelope.sign(signer)
    return envelope


def from_json(stored: bytes) -> Envelope:
    """Reverses ``to_json``."""
    return Envelope.from_dict(json.loads(stored))


def to_json(envelope: Envelope) -> bytes:
    """The envelope as a file."""
    return json.dumps(envelope.to_dict(), sort_keys=True, separators=(",", ":")).encode()
