"""What a certificate says of whom it is about: commitments that can be opened one by one.

For an id x of a subject or a sample, under a salt of the caller's:

    o = HMAC-SHA256(salt, kind || 0x00 || x)
    c = HMAC-SHA256(o, x)

and the certificate holds the RFC 6962 tree hash over the c, sorted. Who made the salt can
show that x was among them by x, o and an audit path, and gives away nothing of the others.
Without the salt nobody can test a guess.
"""

import hmac
from collections.abc import Iterable
from functools import reduce
from typing import Literal

from unlearn_server.log.merkle import Frontier, leaf_hash

Kind = Literal["subject", "sample"]


def root(salt: bytes, kind: Kind, ids: Iterable[str]) -> bytes:
    """The commitment to distinct ids, 32 bytes."""
    commitments = sorted(_commitment(salt, kind, own.encode()) for own in ids)
    return reduce(_append, commitments, Frontier()).root


def _append(tree: Frontier, commitment: bytes) -> Frontier:
    return tree.append(leaf_hash(commitment))[0]


def _commitment(salt: bytes, kind: Kind, own: bytes) -> bytes:
    opening = hmac.digest(salt, kind.encode() + b"\0" + own, "sha256")
    return hmac.digest(opening, own, "sha256")
