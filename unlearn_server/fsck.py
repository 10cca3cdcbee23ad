"""Checks what is stored against itself: log, published files, certificates, releases and rows.

Each check names what it finds wrong and what to do. Nothing is repaired here: what is
derived is made again by the server, and what is not must come from a backup. What cannot
even be read is a finding as well, and keeps nothing else from being checked.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from securesystemslib.dsse import Envelope
from sqlalchemy import Connection

from unlearn_server import publishing, rows, statements, weights
from unlearn_server.auditing import Auditor
from unlearn_server.domain import Erasure, Model, Outcome, Release
from unlearn_server.errors import DecryptionError, StartupError
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import erasures, log, models, releases, samples
from unlearn_server.ledger.database import Database
from unlearn_server.ledger.log import Head, Leaf, LoggedKey
from unlearn_server.log import envelopes, merkle, notes
from unlearn_server.log.entries import entry
from unlearn_server.signing import public_pem
from unlearn_server.workspace import Workspaces
from unlearning.commitment import weights_commitment

_BLOCK = 1000


@dataclass(frozen=True)
class Finding:
    """Something wrong: where, what, and what to do about it."""

    where: str
    problem: str
    remedy: str


_RESTORE = "the database was changed from outside: restore it from a backup"
_REPUBLISH = "stop the server, move the folder away and start it: it is made again"


def check(database: Database, keys: KeyRing, directory: Path) -> Iterator[Finding]:
    """Every finding, as they come; none for a server whose data are sound.

    Args:
        database: the server's; nothing in it changes.
        keys: that open its samples.
        directory: where the log's files are.

    Raises:
        StartupError: if there is no log yet.
    """
    with database.read() as conn:
        if not log.has_begun(conn):
            raise StartupError("the database: has no log yet; start the server once")
        yield from _readable("the log", _log(conn, directory))
        yield from _readable("the models", _models(conn, database, keys))


def _readable(where: str, findings: Iterator[Finding], remedy: str = _RESTORE) -> Iterator[Finding]:
    """What a check finds; that it could not be done, if so."""
    try:
        yield from findings
    except Exception as error:  # whatever garbage makes of our own code
        yield Finding(where, f"cannot be read ({type(error).__name__})", remedy)


def _log(conn: Connection, directory: Path) -> Iterator[Finding]:
    head = log.head(conn)
    yield from _readable("the log's tree", _tree(conn, head))
    yield from _readable("the checkpoint", _checkpoint(conn, head))
    yield from _readable("the signing keys", _keys(conn))
    yield from _readable("the certificates", _certificates(conn, head))
    yield from _readable("the log's files", _published(conn, head, directory), _REPUBLISH)


def _tree(conn: Connection, head: Head) -> Iterator[Finding]:
    """The leaves make the nodes and the frontier that are stored."""
    tree, nodes = merkle.Frontier(), log.nodes_of(conn)
    for leaf in _leaves(conn, head):
        tree, complete = tree.append(merkle.leaf_hash(leaf.entry))
        try:
            stored = nodes([node.coordinate for node in complete])
        except KeyError:
            stored = []
        if list(stored) != [node.hash for node in complete]:
            yield Finding(f"certificates/{leaf.index}", "the tree's nodes do not fit it", _RESTORE)
    if tree != head.frontier:
        yield Finding("the log", "its leaves are not those that its tree was made of", _RESTORE)


def _checkpoint(conn: Connection, head: Head) -> Iterator[Finding]:
    """The checkpoint is of that tree, and signed by the key in force."""
    tree = head.frontier
    if notes.tree_of(head.checkpoint) != (tree.size, tree.root):
        yield Finding("the checkpoint", "is not of the log's tree", _RESTORE)
    key = log.keys(conn)[-1].verifier_key(head.origin)
    if not notes.is_signed(head.checkpoint, key):
        yield Finding("the checkpoint", "the log's key did not sign it", _RESTORE)
    if head.witnessed:
        size, root = notes.tree_of(head.witnessed)
        if merkle.frontier(size, log.nodes_of(conn)).root != root:
            problem = "what witnesses signed is not how the log began"
            yield Finding("the checkpoint", problem, _RESTORE)


def _keys(conn: Connection) -> Iterator[Finding]:
    """The first key began the log, and each other was endorsed in it by the one before."""
    keys = log.keys(conn)
    if (keys[0].first_index, keys[0].endorsement) != (0, None):
        yield Finding("the signing keys", "the first is not from the beginning", _RESTORE)
    for previous, key in pairwise(keys):
        [leaf] = log.leaves(conn, range(key.first_index - 1, key.first_index))
        endorsed = json.loads(envelopes.from_json(leaf.envelope).payload)["predicate"]
        told = endorsed["previousKey"], endorsed["nextKey"]
        if leaf.envelope != key.endorsement or told != (_pem(previous), _pem(key)):
            problem = f"the one from certificates/{key.first_index} on was not endorsed so"
            yield Finding("the signing keys", problem, _RESTORE)


def _pem(key: LoggedKey) -> str:
    return public_pem(key.verifying)


def _certificates(conn: Connection, head: Head) -> Iterator[Finding]:
    """Each leaf is of its envelope, which its key signed and which says what the outcome does."""
    keys, of_leaf = log.keys(conn), dict(_certified(conn))
    for leaf in _leaves(conn, head):
        where = f"certificates/{leaf.index}"
        told = of_leaf.pop(leaf.index, None)
        yield from _readable(where, _certificate(where, leaf, keys, told))
    for index, (erasure, _) in of_leaf.items():
        yield Finding(
            f"erasures/{erasure.request_id}", f"certificates/{index} is not in the log", _RESTORE
        )


def _certificate(
    where: str, leaf: Leaf, keys: list[LoggedKey], told: tuple[Erasure, Outcome | None] | None
) -> Iterator[Finding]:
    key = log.key_of(keys, leaf.index).verifying
    envelope: Envelope = envelopes.from_json(leaf.envelope)
    [signature] = envelope.signatures.values()
    key.verify(bytes.fromhex(signature.signature), envelope.pae())
    if entry(envelope, key) != leaf.entry:
        yield Finding(where, "its entry is of another envelope", _RESTORE)
    statement = json.loads(envelope.payload)
    kind = statement["predicateType"]
    if told and not _agree(kind, statement["predicate"], *told):
        yield Finding(where, "it does not say what the erasure's outcome says", _RESTORE)
    if not told and kind in {statements.ERASURE, statements.REFUSAL}:
        yield Finding(where, "no erasure has this outcome", _RESTORE)


def _published(conn: Connection, head: Head, directory: Path) -> Iterator[Finding]:
    """The files are those of the log, as far as it was published."""
    for path, content in publishing.files(conn, head, 0):
        file = directory / path
        if not file.exists():
            yield Finding(f"log/{path}", "is missing", "start the server: it is made again")
        elif file.read_bytes() != content():
            yield Finding(f"log/{path}", "is not what the log holds", _REPUBLISH)
    newest = {
        publishing.KEYS: publishing.keys_json(conn, head),
        publishing.CHECKPOINT: head.checkpoint.encode(),
    }
    for path, content in newest.items():
        file = directory / path
        if not file.exists() or file.read_bytes() != content:
            yield Finding(f"log/{path}", "is not the newest", "start the server: it is made again")


def _models(conn: Connection, database: Database, keys: KeyRing) -> Iterator[Finding]:
    auditor = Auditor(database, keys, Workspaces(database), Event())
    for model in _every_model(conn):
        where = f"models/{model.model_id}"
        yield from _readable(where, _rows(conn, where, model, keys))
        yield from _readable(where, _release(conn, where, model, keys, auditor))


def _rows(conn: Connection, where: str, model: Model, keys: KeyRing) -> Iterator[Finding]:
    """Every sample opens with its own key, and they are as many as are counted."""
    found = 0
    for stored in samples.stream(conn, model.key, rows.ROWS_AT_ONCE):
        found += len(stored)
        try:
            rows.unseal(stored, model, keys)
        except DecryptionError:
            yield Finding(where, "a sample does not open with its key", _RESTORE)
    if found != model.sample_count:
        problem = f"{found} samples have a key, and {model.sample_count} are counted"
        yield Finding(where, problem, _RESTORE)


def _release(
    conn: Connection, where: str, model: Model, keys: KeyRing, auditor: Auditor
) -> Iterator[Finding]:
    """The release is what it commits to, and an exact one what its model's rows make it."""
    release = releases.serving(conn, model.key)
    if release and not _is_intact(model, release, keys):
        yield Finding(f"{where}/releases/{release.number}", "its weights changed", _RESTORE)
    elif model.objective.is_exact and not _is_recomputed(auditor, model, release):
        yield Finding(where, "its release is not what its samples make it", _RESTORE)


def _is_intact(model: Model, release: Release, keys: KeyRing) -> bool:
    try:
        secrets = weights.unseal(release, model, keys)
    except DecryptionError:
        secrets = None
    if secrets is None:
        return False
    integers = np.frombuffer(secrets.weights, "<i8")
    commitment = weights_commitment(secrets.salt, model.objective, integers)
    return commitment == release.weights_commitment


def _is_recomputed(auditor: Auditor, model: Model, release: Release | None) -> bool:
    audit = auditor.audit(model.model_id, b"")
    if release is None or release.sample_count != model.sample_count:
        return audit.consistent  # what was added since is in no commitment yet
    return audit.consistent and audit.state_recomputed == release.state_commitment


def _every_model(conn: Connection) -> Iterator[Model]:
    after = 0
    while found := models.page(conn, after, _BLOCK):
        after = found[-1].key
        yield from found


def _leaves(conn: Connection, head: Head) -> Iterator[Leaf]:
    for start in range(0, head.frontier.size, _BLOCK):
        yield from log.leaves(conn, range(start, start + _BLOCK))


def _certified(conn: Connection) -> Iterator[tuple[int, tuple[Erasure, Outcome | None]]]:
    """What each certificate is of, by its index; a refusal is of no outcome."""
    after = 0
    while found := erasures.page(conn, (), after, _BLOCK):
        after = found[-1].key
        for erasure in found:
            for outcome in erasure.outcomes:
                if outcome.certificate is not None:
                    yield outcome.certificate, (erasure, outcome)
            if erasure.refusal:
                yield erasure.refusal.certificate, (erasure, None)


def _agree(kind: str, told: Any, erasure: Erasure, outcome: Outcome | None) -> bool:
    """Whether a certificate's predicate says what is stored of the outcome, or of the refusal."""
    stored = statements.demand(_as_due(erasure, told))
    if any(told.get(name) != value for name, value in stored.items()):
        return False
    if outcome is None:
        return kind == statements.REFUSAL and _agrees_on_refusal(told, erasure)
    return kind == statements.ERASURE and _agrees_on_outcome(told, outcome)


def _as_due(erasure: Erasure, told: Any) -> Erasure:
    """As it was due when a certificate was made, which may have been before an extension."""
    if erasure.extension and "extension" not in told:
        return replace(erasure, due_time=erasure.extension.first_due_time, extension=None)
    return erasure


def _agrees_on_refusal(told: Any, erasure: Erasure) -> bool:
    return bool(
        erasure.refusal
        and erasure.complete_time
        and told["ground"] == erasure.refusal.ground
        and told["refuseTime"] == statements.rfc3339(erasure.complete_time)
        and told["models"] == [f"models/{model_id}" for model_id in erasure.waiting]
    )


def _agrees_on_outcome(told: Any, outcome: Outcome) -> bool:
    stored = {"solve": None, **statements.result(outcome)}
    return bool(
        told["model"]["name"] == f"models/{outcome.model_id}"
        and told["method"]["name"] == outcome.method.name
        and told["samples"]["erased"] == outcome.erased_samples
        and told["release"].items() >= statements.replacement(outcome).items()
        and {name: told.get(name) for name in stored} == stored
    )
