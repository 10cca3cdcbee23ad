"""What the journal says happened since a backup."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unlearn_server.domain import Erasure
from unlearn_server.errors import StartupError
from unlearn_server.journal import records
from unlearn_server.journal.lines import read
from unlearn_server.journal.records import Remembered, Tree
from unlearn_server.keys import KeyRing
from unlearn_server.log.merkle import Frontier


@dataclass(frozen=True)
class History:
    """What happened since.

    Attributes:
        tree: the log at its end.
        leaves: appended since, in order.
        waiting: requests that were open at some time, by request id.
        deleted: the models that were deleted, ever.
    """

    tree: Tree
    leaves: tuple[Remembered, ...]
    waiting: Mapping[str, Erasure]
    deleted: frozenset[str]


def since(size: int, path: Path, keys: KeyRing) -> History:
    """Reads a journal from a size of the log on.

    Raises:
        StartupError: if it is missing, damaged, another server's, or ends before.
    """
    tree, leaves = Tree.of(Frontier()), list[Remembered]()
    waiting, deleted = dict[str, Erasure](), set[str]()
    for record in read(path, keys):
        waiting.update((each.request_id, each) for each in records.waiting(record))
        deleted.update(records.deletions(record))
        growth = records.growth(record)
        if growth:
            tree = growth.tree
            leaves = [each for each in leaves if each.leaf.index < growth.base.size]
            leaves += [each for each in growth.leaves if each.leaf.index >= size]
    if tree.size < size:
        raise StartupError(
            f"the journal: ends after {tree.size} certificates, and the backup has {size}; give "
            "the newest copy of the journal"
        )
    return History(tree, tuple(leaves), waiting, frozenset(deleted))
