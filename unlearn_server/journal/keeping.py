"""Keeps the journal in step with the log, whatever was rolled back or done elsewhere meanwhile."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from sqlalchemy import Connection

from unlearn_server.domain import Erasure
from unlearn_server.errors import StartupError, TakenOverError
from unlearn_server.journal import records
from unlearn_server.journal.lines import Lines
from unlearn_server.journal.records import Growth, Told, Tree
from unlearn_server.keys import KeyRing
from unlearn_server.ledger import erasures, log, models
from unlearn_server.log import merkle
from unlearn_server.log.merkle import Frontier

_BLOCK = 1000
_NOTHING = Tree.of(Frontier())


class Journal:
    """Writes what becomes of the log. Safe to share between threads.

    Leaves are written before the transaction commits that appends them. If it does not, what was
    written last is of no leaf: the next that is written says after which leaf it comes. What was
    committed is told afterwards, and never taken back.
    """

    def __init__(self, path: Path, keys: KeyRing) -> None:
        """Opens a file, made if it is not there.

        Raises:
            StartupError: if it cannot be used, or does not end as it was written.
        """
        self._lines = Lines(path, keys)
        grown, shown = _newest(self._lines)
        self._base, self._tree = (grown.base, grown.tree) if grown else (_NOTHING, _NOTHING)
        self._shown = shown or _NOTHING
        # Written since it was opened: the newest open request, by its key, and deleted models.
        self._noted = 0
        self._gone: set[str] = set()
        self._turn = Lock()

    def open(self, conn: Connection) -> None:
        """Writes what is missing.

        Raises:
            StartupError: if the log of the database is not the one that is written of.
        """
        with self._turn:
            self._follow(conn, log.head(conn).frontier)

    def append(
        self, conn: Connection, base: Frontier, tree: Frontier, leaves: Sequence[Told]
    ) -> None:
        """Writes leaves, which are on disk when this returns; call it before they are committed.

        Args:
            conn: where the log can be read.
            base: the log before.
            tree: the log with them.
            leaves: from the size of ``base`` to that of ``tree``.

        Raises:
            TakenOverError: if more than ``base`` is shown by now: another server has appended
                since, so this transaction's session has ended and it cannot commit.
        """
        with self._turn:
            if self._shown.size > base.size:
                raise TakenOverError
            if self._tree != Tree.of(base):
                self._follow(conn, base)
            self._write(base, tree, leaves)

    def show(self, conn: Connection) -> None:
        """Writes what is committed before it is published, by whichever server.

        That is the log, requests that are open, and models that were deleted.
        """
        head = log.head(conn).frontier
        with self._turn:
            self._forget(models.deleted(conn))
        while (waiting := self._waiting(conn)) or Tree.of(head) != self._shown:
            with self._turn:
                if self._tree.size < head.size:
                    self._follow(conn, head)
                self._lines.append(records.shown(Tree.of(head), waiting))
                self._shown = Tree.of(head)
                self._noted = waiting[-1].key if waiting else self._noted

    def _waiting(self, conn: Connection) -> Sequence[Erasure]:
        return erasures.page(conn, erasures.OPEN_STATES, self._noted, _BLOCK)

    def _forget(self, model_ids: Sequence[str]) -> None:
        """Writes that models were deleted, once each."""
        if gone := [each for each in model_ids if each not in self._gone]:
            self._lines.append(records.deleted(gone))
            self._gone.update(gone)

    def _follow(self, conn: Connection, head: Frontier) -> None:
        nodes, start = log.nodes_of(conn), self._shared(conn, head)
        for begin in range(start, head.size, _BLOCK):
            end = min(begin + _BLOCK, head.size)
            base, tree = merkle.frontier(begin, nodes), merkle.frontier(end, nodes)
            self._write(base, tree, records.told(conn, range(begin, end)))
        if self._tree != Tree.of(head):  # what was written beyond it was rolled back
            self._write(head, head, [])

    def _shared(self, conn: Connection, head: Frontier) -> int:
        """Of how many leaves both tell the same."""
        nodes = log.nodes_of(conn)
        for tree in (self._tree, self._base):
            is_within = self._shown.size <= tree.size <= head.size
            if is_within and merkle.frontier(tree.size, nodes).root == tree.root:
                return tree.size
        raise StartupError(
            f"the database: knows {head.size} certificates, and the journal {self._tree.size}, not "
            "all of them the same; to go on would show two histories. Restore the newest database"
        )

    def _write(self, base: Frontier, tree: Frontier, leaves: Sequence[Told]) -> None:
        self._lines.append(records.grown(base, tree, leaves))
        self._base, self._tree = Tree.of(base), Tree.of(tree)


def _newest(lines: Lines) -> tuple[Growth | None, Tree | None]:
    """What is told last of the log's growth, and of what was shown."""
    grown: Growth | None = None
    shown: Tree | None = None
    for record in lines.backwards():
        grown = grown or records.growth(record)
        shown = shown or records.tree_shown(record)
        if grown and shown:
            break
    return grown, shown
