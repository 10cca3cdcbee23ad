"""A release's weights and salt as they are stored: sealed as one, under a key of the release.

The payload is the salt, 32 bytes, and the weights. It is authenticated together with its model
and the commitment to the weights, so it opens in its own row only.
"""

from dataclasses import dataclass

from unlearn_server.domain import Model, Release, Sealed
from unlearn_server.keys import KeyRing
from unlearning.commitment import SALT_BYTES


@dataclass(frozen=True)
class Secrets:
    """What a release commits with, and its weights.

    ``weights`` are integers on the objective's grid, int64 little-endian, row-major (d, C) or
    (p,).
    """

    salt: bytes
    weights: bytes


def seal(
    secrets: Secrets, model: Model, commitment: bytes, keys: KeyRing, master_id: bytes
) -> Sealed:
    """Encrypts them for the release of this commitment to the weights."""
    plaintext = secrets.salt + secrets.weights
    return keys.seal(plaintext, identity(model.model_id, commitment), master_id)


def unseal(release: Release | None, model: Model, keys: KeyRing) -> Secrets | None:
    """What a release holds; None without one, or if it serves no more.

    Raises:
        DecryptionError: if it is not what was stored.
    """
    if release is None or release.sealed is None or release.weights_commitment is None:
        return None
    own = identity(model.model_id, release.weights_commitment)
    plaintext = keys.unseal(release.sealed, own)
    return Secrets(plaintext[:SALT_BYTES], plaintext[SALT_BYTES:])


def identity(model_id: str, commitment: bytes) -> bytes:
    """What sealed weights are bound to; no sample's identity is as long."""
    return model_id.encode() + b"\0release\0" + commitment
