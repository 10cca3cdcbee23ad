"""The classifier at which a network without one is linearised: constant random signs."""

import hashlib

import numpy as np
from numpy.typing import NDArray

_BITS_A_HASH = 256


def classifier_signs(core_digest: str, classes: int, features: int) -> NDArray[np.int8]:
    """Independent signs, shape (classes, features), that look random and never change.

    Frozen: solutions rest on it. Row c takes the bits, the highest of a byte first, of
    the SHA-256s of (core digest, c, 0), (core digest, c, 1) and so on, the numbers as four
    bytes, big-endian; a set bit is a minus.
    """
    core = bytes.fromhex(core_digest)
    hashes = -(-features // _BITS_A_HASH)
    drawn = b"".join(
        hashlib.sha256(core + c.to_bytes(4, "big") + i.to_bytes(4, "big")).digest()
        for c in range(classes)
        for i in range(hashes)
    )
    bits = np.unpackbits(np.frombuffer(drawn, np.uint8)).reshape(classes, -1)[:, :features]
    return 1 - 2 * bits.astype(np.int8)
