"""That a leaf is in the log, for a verifier without a network: c2sp.org/tlog-proof."""

from collections.abc import Sequence
from dataclasses import dataclass

from unlearn_server.log.base64text import encoded


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A leaf's place under a checkpoint.

    Attributes:
        index: of the leaf, from 0.
        path: its audit path in the checkpoint's tree, from ``merkle.inclusion_proof``.
        size: leaves in the checkpoint's tree.
        root: that tree's hash.
        checkpoint: the note, with every signature it has.
    """

    index: int
    path: Sequence[bytes]
    size: int
    root: bytes
    checkpoint: str

    def __str__(self) -> str:
        """The proof as a file, ``.tlog-proof``."""
        hashes = "".join(f"{encoded(node)}\n" for node in self.path)
        return f"c2sp.org/tlog-proof@v1\nindex {self.index}\n{hashes}\n{self.checkpoint}"
