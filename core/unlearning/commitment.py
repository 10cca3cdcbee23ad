r"""Commitments to what a model was solved from and to the weights it released.

A plain digest would confirm a guess of the erased row to one who knows the others,
so each commitment is an HMAC-SHA256 under a fresh 256-bit salt that is kept with
the release and destroyed with it. Equal commitments under one salt mean equal
training information.

The canonical bytes, frozen:

    description(objective)  SHA-256 of the RFC 8785 serialization of its JSON form
    rows(statistics)        SHA-256 of the leaves' SHA-256 digests, in order, where
                            leaf 0 is n, leaf 1 is B row by row, and leaf 2 + k is
                            rows 64k..64k+63 of G, each from its diagonal entry to
                            its end; all as little-endian int64
    state_commitment        HMAC(salt, "unlearn-state-v1\0" || description ||
                            rows(all rows) || rows(CORE rows))
    weights_commitment      HMAC(salt, "unlearn-weights-v1\0" || description ||
                            W row by row as little-endian int64, in grid units)
"""

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import numpy as np
import rfc8785
from numpy.typing import NDArray

from unlearning.objective import Objective
from unlearning.statistics import Statistics

SALT_BYTES = 32
_ROWS_A_LEAF = 64


def state_commitment(
    salt: bytes, objective: Objective, everything: Statistics, core: Statistics
) -> bytes:
    """Commits to the exact statistics of all rows and of the CORE rows; 32 bytes."""
    message = b"unlearn-state-v1\0" + _description(objective) + _rows(everything) + _rows(core)
    return hmac.digest(salt, message, "sha256")


def weights_commitment(salt: bytes, objective: Objective, weights: NDArray[np.int64]) -> bytes:
    """Commits to weights in grid units, shape (d, C); 32 bytes."""
    message = b"unlearn-weights-v1\0" + _description(objective) + _int64(weights)
    return hmac.digest(salt, message, "sha256")


def _description(objective: Objective) -> bytes:
    return hashlib.sha256(rfc8785.dumps(objective.to_json())).digest()


def _rows(statistics: Statistics) -> bytes:
    digests = (hashlib.sha256(leaf).digest() for leaf in _leaves(statistics))
    return hashlib.sha256(b"".join(digests)).digest()


def _leaves(statistics: Statistics) -> Iterator[bytes]:
    yield _int64(np.array(statistics.n))
    yield _int64(statistics.B)
    d = len(statistics.G)
    for start in range(0, d, _ROWS_A_LEAF):
        # G is symmetric and stored below its diagonal: its columns are the triangle's rows.
        rows = [statistics.G[i:, i] for i in range(start, min(start + _ROWS_A_LEAF, d))]
        yield _int64(np.concatenate(rows))


def _int64(values: NDArray[Any]) -> bytes:
    return values.astype("<i8", order="C").tobytes()
