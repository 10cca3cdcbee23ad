"""A witness's key: Ed25519, in a PEM file (PKCS #8) that nobody else may read."""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from unlearn_client.errors import WitnessError
from unlearn_client.files import replace
from unlearn_client.verification.cosignatures import TIME_BYTES, Witness, cosigned_text
from unlearn_client.verification.keys import COSIGNATURE_ED25519, PublicKey, encode, is_key_name
from unlearn_client.verification.notes import Signature


@dataclass(frozen=True)
class WitnessKey:
    """A private key under a name.

    Raises:
        WitnessError: the name cannot stand in a note.
    """

    name: str
    private: Ed25519PrivateKey

    def __post_init__(self) -> None:
        if not is_key_name(self.name):
            raise WitnessError("the name must have no spaces and no +, such as witness.example/w1")

    @property
    def witness(self) -> Witness:
        """Who signs with it."""
        return Witness(self.name, PublicKey(self.private.public_key().public_bytes_raw()))

    @property
    def verifier_key(self) -> str:
        """What logs and verifiers are configured with: a vkey of type 4."""
        witness = self.witness
        material = encode(COSIGNATURE_ED25519 + witness.key.raw)
        return f"{self.name}+{witness.key_id.hex()}+{material}"

    def cosign(self, text: bytes, seconds: int) -> Signature:
        """The signature of a checkpoint's text at a time, in seconds since 1970."""
        signature = self.private.sign(cosigned_text(seconds, text))
        stamp = seconds.to_bytes(TIME_BYTES)
        return Signature(self.name, self.witness.key_id, stamp + signature)


def write_key(path: Path, key: Ed25519PrivateKey) -> None:
    """Keeps a key in a file.

    Raises:
        OSError: it cannot be written.
    """
    replace(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def read_key(path: Path) -> Ed25519PrivateKey:
    """The key in a file.

    Raises:
        WitnessError: it is no Ed25519 key, or others may read it.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise WitnessError(f"{path}: others may read or write it; chmod 600 it")
        pem = file.read()
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise WitnessError(f"{path}: is no Ed25519 key in unencrypted PEM; restore the right one")
    return key
