"""The server's signing key: Ed25519, in a PEM file (PKCS #8) that nobody else may read.

The one key signs certificates and the log's checkpoints. It is what strangers know the
server by, so a lost one is not replaced silently: a second key that nothing endorses would
begin a second history.
"""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from unlearn_server.errors import StartupError
from unlearn_server.private_files import create_private, read_private

SIGNING_FILE = "signing.key"
ENVIRONMENT = "UNLEARN_SIGNING_KEY"
"""May hold the PEM itself, for servers whose secrets come that way."""


def open_key(path: Path, *, create: bool) -> Ed25519PrivateKey:
    """The key in the environment, or else in a file, as ``read_key`` reads it."""
    pem = os.environ.get(ENVIRONMENT)
    return read_key(path, create=create) if pem is None else _parse(pem.encode(), ENVIRONMENT)


def read_key(path: Path, *, create: bool) -> Ed25519PrivateKey:
    """The key in a file; with ``create``, made if it is missing.

    Raises:
        StartupError: if it is missing, or is no Ed25519 key, or others may read the file.
    """
    if not path.exists():
        if not create:
            raise StartupError(
                f"{path.name}: is missing, and a new key would begin a second history that no "
                "verifier should accept; restore it from a backup"
            )
        create_private(path, _new_pem())
    return _parse(read_private(path), path.name)


def public_pem(key: Ed25519PublicKey) -> str:
    """The SubjectPublicKeyInfo of a key, in PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _new_pem() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _parse(pem: bytes, name: str) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise StartupError(f"{name}: is no Ed25519 key in unencrypted PEM; give such a one")
    return key
