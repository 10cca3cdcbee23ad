"""The server's secrets, and what is done with them: keyed hashes and sealed samples.

Ids are looked up by keyed hash, so that nobody without ``id-hashing.key`` can test
a guess against a copy of the database. Each sample is sealed under a key of its own,
which is wrapped by ``master.key``: destroying the wrapped key destroys the sample,
in every backup of the rows too.
"""

import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from unlearn_server.errors import DecryptionError, StartupError

MASTER_FILE = "master.key"
HASHING_FILE = "id-hashing.key"
KEY_BYTES = 32
NONCE_BYTES = 12


class KeyRing:
    """Hashes ids and seals samples. Safe to share between threads."""

    def __init__(self, master: bytes, hashing: bytes) -> None:
        self._master = AESGCM(master)
        self._hashing = hashing

    @classmethod
    def open(cls, directory: Path, *, create: bool) -> "KeyRing":
        """Reads the two key files of a directory; with ``create``, makes what is missing.

        Raises:
            StartupError: if one is missing, or is not 32 bytes, or others may read it.
        """
        paths = (directory / MASTER_FILE, directory / HASHING_FILE)
        if create:
            for path in paths:
                if not path.exists():
                    create_private(path, os.urandom(KEY_BYTES))
        master, hashing = (_read(path) for path in paths)
        return cls(master, hashing)

    def hash_subject(self, subject_id: str) -> bytes:
        """The 32 bytes under which a subject is looked up."""
        return self._hash(b"subject", subject_id.encode())

    def hash_sample(self, sample_id: str) -> bytes:
        """The 32 bytes under which a sample is looked up."""
        return self._hash(b"sample", sample_id.encode())

    def hash_content(self, content: bytes) -> bytes:
        """The 32 bytes by which a sample sent again is recognised."""
        return self._hash(b"content", content)

    def authenticate(self, message: bytes) -> bytes:
        """The 32 bytes that show, to whoever has ``id-hashing.key``, who wrote a message."""
        return self._hash(b"journal", message)

    def is_authentic(self, message: bytes, mac: bytes) -> bool:
        """Whether ``authenticate`` made it of this message."""
        return hmac.compare_digest(self.authenticate(message), mac)

    def _hash(self, purpose: bytes, message: bytes) -> bytes:
        # No purpose is a prefix of another once the zero byte ends it.
        return hmac.digest(self._hashing, purpose + b"\0" + message, "sha256")

    def seal(self, plaintext: bytes, identity: bytes) -> tuple[bytes, bytes]:
        """Encrypts under a fresh key: (payload, that key wrapped by the master key).

        ``identity`` is authenticated, not stored: a payload moved to another row does
        not open. Both results are a nonce followed by AES-256-GCM ciphertext. Random
        nonces keep the master key sound for 2^32 samples (NIST SP 800-38D).
        """
        key = os.urandom(KEY_BYTES)
        return _encrypt(AESGCM(key), plaintext, identity), _encrypt(self._master, key, identity)

    def unseal(self, payload: bytes, wrapped_key: bytes, identity: bytes) -> bytes:
        """Reverses ``seal``.

        Raises:
            DecryptionError: if either part was altered or belongs to another identity.
        """
        try:
            key = _decrypt(self._master, wrapped_key, identity)
            return _decrypt(AESGCM(key), payload, identity)
        except (InvalidTag, ValueError) as error:
            message = (
                "a sealed sample does not open: check that master.key is the one it was sealed with"
            )
            raise DecryptionError(message) from error


def _encrypt(cipher: AESGCM, plaintext: bytes, identity: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plaintext, identity)


def _decrypt(cipher: AESGCM, sealed: bytes, identity: bytes) -> bytes:
    return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], identity)


def create_private(path: Path, content: bytes) -> None:
    """Writes a secret, whole or not at all, that is on disk with its name when this returns."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_private(path: Path) -> bytes:
    """A secret; raises StartupError if it cannot be read, or others may read or write it."""
    try:
        mode, content = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise StartupError(f"{path.name}: cannot be read; restore it from a backup") from error
    if mode & 0o077:
        raise StartupError(f"{path.name}: others may read or write it; chmod 600 it")
    return content


def _read(path: Path) -> bytes:
    key = read_private(path)
    if len(key) != KEY_BYTES:
        raise StartupError(f"{path.name}: is not {KEY_BYTES} bytes long; restore it from a backup")
    return key
