"""The server's secrets, and what is done with them: keyed hashes and sealed contents.

Ids are looked up by keyed hash, so that nobody without ``id-hashing.key`` can test
a guess against a copy of the database. Each sample, and the weights and salt of each release,
are sealed under a key of their own, which is wrapped by a master key: destroying the wrapped
key destroys them, in every backup of the rows too.

Each secret has an id, a MAC of a constant under it, which says nothing of it and tells whether
it is the one that was used.
"""

import hmac
import os
from pathlib import Path
from threading import Lock

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from unlearn_server import master_keys
from unlearn_server.domain import Sealed
from unlearn_server.errors import DecryptionError, StartupError
from unlearn_server.master_keys import KEY_BYTES, MasterKeys
from unlearn_server.private_files import create_private, read_private

HASHING_FILE = "id-hashing.key"
NONCE_BYTES = 12
ID_BYTES = 16


class KeyRing:
    """Hashes ids, and seals under keys that a master key wraps. Safe to share between threads."""

    def __init__(self, masters: MasterKeys, hashing: bytes) -> None:
        """Reads the master keys; raises StartupError as these do."""
        self.masters = masters
        self._hashing = hashing
        self._concealing = AESGCM(self._hash(b"concealing", b""))
        self._loading = Lock()
        self._ciphers = _ciphers(masters)

    @classmethod
    def open(cls, directory: Path, master_key: str | None = None, *, create: bool) -> "KeyRing":
        """Reads the secrets of a data directory; with ``create``, makes those that are missing.

        Args:
            directory: where the secrets are that are in no other place.
            master_key: where the master key is, see ``master_keys``; a file there by default.
            create: whether a missing one may be made.

        Raises:
            StartupError: if one is missing, or is not 32 bytes, or others may read it.
        """
        masters = master_keys.source(master_key, directory)
        path = directory / HASHING_FILE
        if create:
            masters.create()
            if not path.exists():
                create_private(path, os.urandom(KEY_BYTES))
        hashing = read_private(path)
        if len(hashing) != KEY_BYTES:
            message = f"is not {KEY_BYTES} bytes long; restore it from a backup"
            raise StartupError(f"{HASHING_FILE}: {message}")
        return cls(masters, hashing)

    @property
    def master_ids(self) -> list[bytes]:
        """The ids of the master keys that are at hand: one, or also that of the next."""
        return [*self._ciphers]

    @property
    def hashing_id(self) -> bytes:
        """The id of the secret that ids are hashed with."""
        return key_id(self._hashing)

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

    def conceal(self, salt: bytes) -> bytes:
        """Encrypts what ids are committed to with, under the secret that hashes ids.

        Who has that secret can test a guess anyway: the hashes of ids remain.
        """
        return _encrypt(self._concealing, salt, b"salt")

    def reveal(self, concealed: bytes) -> bytes:
        """Reverses ``conceal``; raises DecryptionError if it was altered."""
        return _decrypt(self._concealing, concealed, b"salt")

    def seal(self, plaintext: bytes, identity: bytes, master_id: bytes) -> Sealed:
        """Encrypts under a fresh key, which the master key of this id wraps.

        ``identity`` is authenticated, not stored: a payload moved to another row does
        not open. Payload and wrapped key are a nonce followed by AES-256-GCM ciphertext. Random
        nonces keep a master key sound for 2^32 samples (NIST SP 800-38D).

        Raises:
            DecryptionError: if that master key is not at hand.
        """
        key = os.urandom(KEY_BYTES)
        wrapped_key = _encrypt(self._cipher(master_id), key, identity)
        return Sealed(_encrypt(AESGCM(key), plaintext, identity), wrapped_key, master_id)

    def unseal(self, sealed: Sealed, identity: bytes) -> bytes:
        """Reverses ``seal``.

        Raises:
            DecryptionError: if a part was altered or belongs to another identity, or the master
                key is not at hand.
        """
        key = self._unwrap(sealed.wrapped_key, identity, sealed.master_id)
        return _decrypt(AESGCM(key), sealed.payload, identity)

    def rewrap(self, wrapped_key: bytes, identity: bytes, master_id: bytes, by: bytes) -> bytes:
        """A wrapped key of one master key, wrapped by another; raises as ``unseal`` does."""
        return _encrypt(self._cipher(by), self._unwrap(wrapped_key, identity, master_id), identity)

    def _unwrap(self, wrapped_key: bytes, identity: bytes, master_id: bytes) -> bytes:
        return _decrypt(self._cipher(master_id), wrapped_key, identity)

    def _cipher(self, master_id: bytes) -> AESGCM:
        if master_id not in self._ciphers:  # the key may be replaced just now
            with self._loading:
                self._ciphers = {**self._ciphers, **_ciphers(self.masters)}
        try:
            return self._ciphers[master_id]
        except KeyError as error:
            message = f"{self.masters.name}: is not the master key that is asked for; restore it"
            raise DecryptionError(message) from error


def key_id(key: bytes) -> bytes:
    """What a secret is called in the database: 16 bytes that tell nothing of it."""
    return hmac.digest(key, b"unlearn-server key id", "sha256")[:ID_BYTES]


def _ciphers(masters: MasterKeys) -> dict[bytes, AESGCM]:
    return {key_id(key): AESGCM(key) for key in masters.read()}


def _encrypt(cipher: AESGCM, plaintext: bytes, identity: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plaintext, identity)


def _decrypt(cipher: AESGCM, sealed: bytes, identity: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], identity)
    except (InvalidTag, ValueError) as error:
        message = "what was sealed does not open: it was altered, or its key was; restore a backup"
        raise DecryptionError(message) from error
