"""A witness's two files: the key and the state belong together, and to one process."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from unlearn_client.errors import WitnessError
from unlearn_client.witness.keys import WitnessKey, read_key, write_key
from unlearn_client.witness.state import State


@contextmanager
def opened(state: Path, key: Path, name: str) -> Iterator[tuple[WitnessKey, State]]:
    """The key and the state, both made if neither is there; nobody else has them meanwhile.

    Args:
        state: its file; a file with the same name and ``.lock`` is made beside it.
        key: its file.
        name: of the witness.

    Raises:
        WitnessError: another process has them, or they do not fit each other.
    """
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(state.with_name(f"{state.name}.lock").open("w"))
            _take(lock.fileno(), state)
            both = _read(state, key, name) if key.exists() else _begun(state, key, name)
        except OSError as error:
            raise WitnessError(f"{error.filename}: {error.strerror}") from error
        yield both


def _take(descriptor: int, state: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message = "is in use by another witness; two would sign two histories"
        raise WitnessError(f"{state}: {message}") from None


def _read(state: Path, key: Path, name: str) -> tuple[WitnessKey, State]:
    own = WitnessKey(name, read_key(key))
    if not state.exists():
        raise WitnessError(
            f"{state}: is missing, and with it what {key} has signed: to begin another witness, "
            "move that key away"
        )
    return own, State.read(state, own.witness, own.verifier_key)


def _begun(state: Path, key: Path, name: str) -> tuple[WitnessKey, State]:
    if state.exists():
        raise WitnessError(
            f"{key}: is missing; restore it, or move {state} away to begin another witness"
        )
    own = WitnessKey(name, Ed25519PrivateKey.generate())
    empty = State(state, own.verifier_key, {})
    write_key(key, own.private)
    empty.begin()
    return own, empty
