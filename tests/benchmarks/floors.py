"""What no implementation gets below: single passes, single calls, on this machine."""

import sqlite3
from contextlib import closing
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, cho_factor, cho_solve, lapack

from tests.benchmarks.timing import Prepared, Timed, in_turn

ROWS = 100
"""Of the Woodbury update."""


def measure(d: int, classes: int) -> dict[str, Timed]:
    """Seconds of each, by its words."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((2 * d, d))
    A = np.asfortranarray(rows.T @ rows)
    P = np.asfortranarray(np.linalg.inv(A))
    x = 0.1 * rng.standard_normal(d)
    psi, W = 0.1 * rng.standard_normal((ROWS, d)), rng.standard_normal((d, classes))
    t = rng.standard_normal((ROWS, classes))
    triangle = A[np.tril_indices(d)].tobytes()
    with TemporaryDirectory() as directory, closing(_database(Path(directory))) as database:
        return in_turn(
            {
                "one pass over d x d float64 (sum)": lambda: P.sum(),
                "Sherman-Morrison on a stored inverse, one output (dsymv, dsyr)": Prepared(
                    lambda: partial(_sherman_morrison, P.copy(order="F"), x)
                ),
                f"Woodbury weights for {ROWS} rows, {classes} outputs": lambda: _woodbury(
                    P, psi, W, t
                ),
                "Cholesky factorisation in place (dpotrf)": Prepared(
                    lambda: partial(lapack.dpotrf, A.copy(order="F"), lower=1, overwrite_a=1)
                ),
                "SHA-256 of the triangle of G as one buffer": lambda: sha256(triangle).digest(),
                "SQLite durable commit (WAL, synchronous=FULL)": lambda: _commit(database),
            }
        )


def _sherman_morrison(P: NDArray[np.float64], x: NDArray[np.float64]) -> None:
    """P <- (P^-1 - x x')^-1."""
    Px = blas.dsymv(1.0, P, x, lower=1)
    blas.dsyr(1.0 / (1.0 - x @ Px), Px, a=P, lower=1, overwrite_a=1)


def _woodbury(
    P: NDArray[np.float64],
    psi: NDArray[np.float64],
    W: NDArray[np.float64],
    t: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The weights without rows psi, targets t: W - U (I - psi U)^-1 (t - psi W), U = P psi'."""
    U = blas.dsymm(1.0, P, psi.T, lower=1)
    S = cho_factor(np.eye(len(psi)) - psi @ U, lower=True, check_finite=False)
    return np.asarray(W - U @ cho_solve(S, t - psi @ W, check_finite=False))


def _database(directory: Path) -> sqlite3.Connection:
    database = sqlite3.connect(directory / "floor.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE requests (id INTEGER PRIMARY KEY, body BLOB)")
    return database


def _commit(database: sqlite3.Connection) -> None:
    database.execute("BEGIN IMMEDIATE")
    database.execute("INSERT INTO requests (body) VALUES (randomblob(100))")
    database.execute("COMMIT")
