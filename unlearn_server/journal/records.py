"""What the journal tells: of leaves appended to the log, of requests that wait, of deleted models.

Of an outcome its certificate tells. Told beside it is the request, with whom it names as keyed
hashes, and what makes the model again where a backup does not have it. No salt is told, and no
reason that was given: what is here stays.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from unlearn_server.domain import (
    Erasure,
    ErasureState,
    Method,
    Model,
    Selection,
    SelectionKind,
)
from unlearn_server.journal.lines import Record
from unlearn_server.ledger import erasures, log, models, outcomes
from unlearn_server.ledger.log import Leaf
from unlearn_server.log.merkle import Frontier


class Tree(NamedTuple):
    """A log at one size, and its root."""

    size: int
    root: bytes

    @classmethod
    def of(cls, frontier: Frontier) -> "Tree":
        """The tree with that right edge."""
        return cls(frontier.size, frontier.root)


@dataclass(frozen=True)
class Told:
    """A leaf, the request that it is of, and of which model; a change of the key is of neither."""

    leaf: Leaf
    erasure: Erasure | None = None
    model: Model | None = None


@dataclass(frozen=True)
class Growth:
    """Leaves that were appended together, and the trees before and after.

    Where an earlier one goes beyond ``base``, what it appended there was rolled back.
    """

    base: Tree
    tree: Tree
    leaves: tuple["Remembered", ...]


@dataclass(frozen=True)
class Remembered:
    """A leaf as the journal has it, the request that it is of, and what the model was."""

    leaf: Leaf
    erasure: Erasure | None
    model: Mapping[str, Any] | None


def grown(base: Frontier, tree: Frontier, leaves: Sequence[Told]) -> Record:
    """The record of leaves that are appended together."""
    return {
        "base": _tree(Tree.of(base)),
        "tree": _tree(Tree.of(tree)),
        "leaves": [_leaf(each) for each in leaves],
    }


def deleted(model_ids: Iterable[str]) -> Record:
    """The record of models that were deleted."""
    return {"deleted": list(model_ids)}


def shown(tree: Tree, waiting: Iterable[Erasure]) -> Record:
    """The record of a log that was committed and may be shown, and of requests that are open."""
    return {"shown": _tree(tree), "open": list(map(_request, waiting))}


def growth(record: Record) -> Growth | None:
    """Reverses ``grown``; None for another record."""
    if "leaves" not in record:
        return None
    base, tree = _read(record["base"]), _read(record["tree"])
    leaves = enumerate(record["leaves"], base.size)
    return Growth(base, tree, tuple(_remembered(index, told) for index, told in leaves))


def tree_shown(record: Record) -> Tree | None:
    """Reverses ``shown``; None for another record."""
    return _read(record["shown"]) if "shown" in record else None


def waiting(record: Record) -> list[Erasure]:
    """The requests that a record says were open."""
    return list(map(_accepted, record.get("open", ())))


def deletions(record: Record) -> Sequence[str]:
    """The models that a record says were deleted."""
    model_ids: list[str] = record.get("deleted", [])
    return model_ids


def told(conn: Connection, indices: range) -> list[Told]:
    """What is to be told of leaves that are in the log."""
    certified = outcomes.certified(conn, indices.start - 1, len(indices))
    requests = erasures.find(conn, [each.request_id for each in certified if each.request_id])
    described = models.ever(conn, {each.model_id for each in certified if each.model_id})
    return [
        Told(leaf, requests.get(each.request_id or ""), described.get(each.model_id or ""))
        for leaf, each in zip(log.leaves(conn, indices), certified, strict=True)
    ]


def _read(told: Mapping[str, Any]) -> Tree:
    return Tree(told["size"], b64decode(told["root"]))


def _tree(tree: Tree) -> dict[str, Any]:
    return {"size": tree.size, "root": _text(tree.root)}


def _leaf(each: Told) -> dict[str, Any]:
    return {
        "entry": _text(each.leaf.entry),
        "envelope": _text(each.leaf.envelope),
        "request": each.erasure and _request(each.erasure),
        "model": each.model and _model(each.model),
    }


def _request(erasure: Erasure) -> dict[str, Any]:
    extension = erasure.extension
    first_due_time = extension.first_due_time if extension else erasure.due_time
    return {
        "requestId": erasure.request_id,
        "fingerprint": _text(erasure.fingerprint),
        "selection": erasure.selection.kind,
        "hashes": list(map(_text, erasure.selection.hashes)),
        "subjectRoot": erasure.subject_root and _text(erasure.subject_root),
        "models": erasure.models,
        "method": erasure.method.name,
        "regulation": erasure.regulation,
        "receiveTime": erasure.receive_time.isoformat(),
        "dueTime": first_due_time.isoformat(),
    }


def _accepted(told: Mapping[str, Any]) -> Erasure:
    """The request as it was accepted, but for its salt."""
    kind, hashes = SelectionKind(told["selection"]), tuple(map(b64decode, told["hashes"]))
    return Erasure(
        key=0,
        request_id=told["requestId"],
        fingerprint=b64decode(told["fingerprint"]),
        selection=Selection(kind, hashes),
        subject_root=told["subjectRoot"] and b64decode(told["subjectRoot"]),
        commitment_salt=None,
        models=tuple(told["models"]),
        method=Method[told["method"]],
        regulation=told["regulation"],
        state=ErasureState.PENDING,
        state_reason="",
        outcomes=(),
        receive_time=datetime.fromisoformat(told["receiveTime"]),
        due_time=datetime.fromisoformat(told["dueTime"]),
        complete_time=None,
    )


def _model(model: Model) -> dict[str, Any]:
    return {
        "minimumCohort": model.minimum_cohort,
        "createTime": model.create_time.isoformat(),
    }


def _remembered(index: int, each: Mapping[str, Any]) -> Remembered:
    leaf = Leaf(index, b64decode(each["entry"]), b64decode(each["envelope"]))
    return Remembered(leaf, each["request"] and _accepted(each["request"]), each["model"])


def _text(value: bytes) -> str:
    return b64encode(value).decode()
