"""A witness of one log, as small as can be."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unlearn_client.verification.logs import SignedLog, b64, consistency
from unlearn_client.witness import Cosigner, opened, read_logs

NAME = "w.example/1"
SIZE = 12


@pytest.fixture(scope="session")
def log() -> SignedLog:
    return SignedLog(SIZE)


@pytest.fixture(scope="session")
def request_of() -> Callable[..., bytes]:
    """The body of a request, from the definition (C2SP tlog-witness)."""

    def request_of(log: SignedLog, old: int, size: int, **changed: object) -> bytes:
        told = {"old": old, "checkpoint": log.checkpoint(size)} | changed
        proof = told.get("proof")
        if proof is None:
            proof = consistency(old, log.leaves[:size]) if old <= size else []
        lines = [f"old {told['old']}", *map(b64, proof), "", ""]
        return "\n".join(lines).encode() + told["checkpoint"]

    return request_of


@pytest.fixture
def cosigner(tmp_path: Path, log: SignedLog):
    with opened(tmp_path / "state", tmp_path / "key", NAME) as (key, state):
        yield Cosigner(key, read_logs([log.key.verifier_key()]), state)
