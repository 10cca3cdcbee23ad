"""What the journal tells: of leaves appended to the log, of what was shown, of deleted models.

Of a leaf a certificate tells most. Told beside it is what it leaves out, for it is public: whom
the request names, as keyed hashes, and what makes the model again where a backup does not have it.
No salt is told, and no reason that was given: what is here stays.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection

from unlearn_server.domain import Erasure, Model, Selection, SelectionKind
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
    """A leaf as the journal has it, and what is told beside it."""

    leaf: Leaf
    request: Mapping[str, Any] | None
    model: Mapping[str, Any] | None

    @property
    def selection(self) -> Selection:
        """Whom or what the request names."""
        request = self.request or {}
        hashes = tuple(map(b64decode, request["hashes"]))
        return Selection(SelectionKind(request["selection"]), hashes)


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


def shown(tree: Tree) -> Record:
    """The record of a log that was committed, and of which anybody may have been shown."""
    return {"shown": _tree(tree)}


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
    return {
        "fingerprint": _text(erasure.fingerprint),
        "selection": erasure.selection.kind,
        "hashes": list(map(_text, erasure.selection.hashes)),
        "method": erasure.method.name,
        "models": erasure.models,
    }


def _model(model: Model) -> dict[str, Any]:
    return {
        "minimumCohort": model.minimum_cohort,
        "createTime": model.create_time.isoformat(),
    }


def _remembered(index: int, each: Mapping[str, Any]) -> Remembered:
    leaf = Leaf(index, b64decode(each["entry"]), b64decode(each["envelope"]))
    return Remembered(leaf, each["request"], each["model"])


def _text(value: bytes) -> str:
    return b64encode(value).decode()
