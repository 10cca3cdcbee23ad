r"""Commitments to what a model was solved from and to the weights it released.

A plain digest would confirm a guess of the erased row to one who knows the others,
so each commitment is an HMAC-SHA256 under a fresh 256-bit salt that is kept with
the release and destroyed with it. Equal commitments under one salt mean equal
training information.

The canonical bytes, frozen:

    description(objective)  SHA-256 of the RFC 8785 serialization of its JSON form
    rows_digest(statistics) SHA-256 of the leaves' SHA-256 digests, in order, where
                            leaf 0 is n, leaf 1 is B row by row, and leaf 2 + k is
                            rows 64k..64k+63 of G, each from its diagonal entry to
                            its end; all as little-endian int64
    state_commitment        HMAC(salt, "unlearn-state-v1\0" || description ||
                            rows_digest(all rows) || rows_digest(CORE rows))
    weights_commitment      HMAC(salt, "unlearn-weights-v1\0" || description ||
                            W row by row as little-endian int64, in grid units)

and of a TANGENT model, whose state is its rows themselves:

    row_digest              SHA-256 of a row's label, its index as little-endian int32,
                            one byte that is 1 for a CORE row and else 0, and the
                            stored row as little-endian int16: psi, and f_c behind
                            it where the model has a head
    tangent_state_commitment
                            HMAC(salt, "unlearn-tangent-state-v1\0" || description ||
                            rows(all rows) || rows(CORE rows)), where rows is their
                            number as little-endian int64 and their row_digests in
                            ascending order, each as often as its row is held
"""

import hashlib
import hmac
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import rfc8785
from numpy.typing import NDArray

from unlearning import background
from unlearning.gram import GramMatrix
from unlearning.objective import Objective
from unlearning.statistics import Statistics

SALT_BYTES = 32
_ROWS_A_LEAF = 64
_POOL = ThreadPoolExecutor(
    os.cpu_count(), thread_name_prefix="hashing", initializer=background.give_way
)


def state_commitment(salt: bytes, objective: Objective, everything: bytes, core: bytes) -> bytes:
    """Commits to the ``rows_digest`` of all rows and that of the CORE rows; 32 bytes."""
    message = b"unlearn-state-v1\0" + description(objective) + everything + core
    return hmac.digest(salt, message, "sha256")


def weights_commitment(salt: bytes, objective: Objective, weights: NDArray[np.int64]) -> bytes:
    """Commits to weights in grid units, shape (d, C); 32 bytes."""
    message = b"unlearn-weights-v1\0" + description(objective) + _int64(weights)
    return hmac.digest(salt, message, "sha256")


def row_digest(row: bytes) -> bytes:
    """SHA-256 of a row's canonical bytes; never published, since it would confirm a guess."""
    return hashlib.sha256(row).digest()


def tangent_state_commitment(
    salt: bytes, objective: Objective, everything: Sequence[bytes], core: Sequence[bytes]
) -> bytes:
    """Commits to the ``row_digest`` of all rows and those of the CORE rows; 32 bytes."""
    rows = (_int64(np.array(len(part))) + b"".join(sorted(part)) for part in (everything, core))
    message = b"unlearn-tangent-state-v1\0" + description(objective) + b"".join(rows)
    return hmac.digest(salt, message, "sha256")


def description(objective: Objective) -> bytes:
    """SHA-256 of what is minimised: it holds nothing of anyone's data."""
    return hashlib.sha256(rfc8785.dumps(objective.to_json())).digest()


def rows_digest(statistics: Statistics) -> Callable[[], bytes]:
    """SHA-256 over the exact statistics; never published, since it would confirm a guess.

    Hashing has begun when this returns, and goes on beside what the caller does next; the
    statistics must not change before the function returned has given the digest.
    """
    return _POOL.submit(_rows_digest, statistics).result


def _rows_digest(statistics: Statistics) -> bytes:
    leaves = (hashlib.sha256(leaf).digest() for leaf in _leaves(statistics))
    return hashlib.sha256(b"".join(leaves)).digest()


def _leaves(statistics: Statistics) -> Iterator[bytes]:
    yield _int64(np.array(statistics.n))
    yield _int64(statistics.B)
    for start in range(0, len(statistics.G), _ROWS_A_LEAF):
        yield _triangle_leaf(statistics.G, start)


def _triangle_leaf(G: GramMatrix, start: int) -> bytes:
    # G is symmetric and kept below its diagonal: its columns are the triangle's rows.
    strip = G.strip(start, start + _ROWS_A_LEAF).astype("<i8")
    return np.concatenate([strip[i:, i] for i in range(strip.shape[1])]).tobytes()


def _int64(values: NDArray[Any]) -> bytes:
    return values.astype("<i8", order="C").tobytes()
