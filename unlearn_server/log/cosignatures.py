"""Witnesses' signatures of checkpoints, and asking for them.

What is asked is c2sp.org/tlog-witness, what is answered c2sp.org/tlog-cosignature.
"""

from base64 import b64decode
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from unlearn_server.log.base64text import encoded
from unlearn_server.log.notes import VerifierKey

_TIME_BYTES = 8


def request(old: int, proof: Sequence[bytes], checkpoint: str) -> bytes:
    """The body of ``add-checkpoint``: that the tree of ``old`` leaves begins the checkpoint's."""
    hashes = "".join(f"{encoded(node)}\n" for node in proof)
    return f"old {old}\n{hashes}\n{checkpoint}".encode()


def cosignature(answer: str, witness: VerifierKey, checkpoint: str) -> str:
    """The line in an answer by which a witness signed a checkpoint; ValueError if there is none."""
    text = checkpoint[: checkpoint.rindex("\n\n") + 1]
    for line in answer.splitlines():
        dash, name, sealed = line.split(" ")
        signature = b64decode(sealed, validate=True)
        known = (dash, name, signature[:4]) == ("\N{EM DASH}", witness.name, witness.id)
        if known and _is_signed(signature[4:], witness, text):
            return f"{line}\n"
    raise ValueError("the answer: holds no signature of the witness")


def _is_signed(signature: bytes, witness: VerifierKey, text: str) -> bool:
    time = int.from_bytes(signature[:_TIME_BYTES])
    message = f"cosignature/v1\ntime {time}\n{text}".encode()
    key = Ed25519PublicKey.from_public_bytes(witness.public_key)
    try:
        key.verify(signature[_TIME_BYTES:], message)
    except InvalidSignature:
        return False
    return time > 0
