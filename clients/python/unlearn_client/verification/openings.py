"""Opening a certificate's commitments: were exactly these ids erased?

An id ``x`` of a kind has the opening o = HMAC-SHA256(salt, kind || 0 || x) and the
commitment c = HMAC-SHA256(o, x); the root is the RFC 6962 tree hash over the sorted
commitments. Without the salt nobody can try out ids.
"""

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from unlearn_client.errors import VerificationError
from unlearn_client.verification.merkle import tree_hash
from unlearn_client.verification.statements import Statement

SALT_BYTES = 32


@dataclass(frozen=True)
class Opening:
    """What somebody who asked for an erasure knows about it.

    Attributes:
        salt: the 32 bytes given with the request.
        ids: all that were named, by kind: subject, sample.
    """

    salt: bytes
    ids: Mapping[str, frozenset[str]]

    def verify(self, statement: Statement) -> Iterator[str]:
        """What is proven by opening the statement's commitments.

        Raises:
            VerificationError: they are to other ids, or there are none.
        """
        for kind, ids in self.ids.items():
            commitment = statement.commitments.get(kind)
            if commitment is None:
                raise VerificationError(f"the certificate holds no commitment to {kind}s")
            root = commitment_root(self.salt, kind, ids).hex()
            if (commitment.count, commitment.root) != (len(ids), root):
                raise VerificationError(
                    f"the certificate's {kind}s are not the {len(ids)} given, under this salt"
                )
            yield f"The {kind}s it was asked for are exactly the {len(ids)} given."


def commitment_root(salt: bytes, kind: str, ids: frozenset[str]) -> bytes:
    """The root of the commitments to these ids, 32 bytes."""
    return tree_hash(sorted(_commitment(salt, kind.encode(), name.encode()) for name in ids))


def _commitment(salt: bytes, kind: bytes, name: bytes) -> bytes:
    opening = hmac.digest(salt, kind + b"\0" + name, "sha256")
    return hmac.digest(opening, name, "sha256")
