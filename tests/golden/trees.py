"""A whole tree in memory, for tests and golden files."""

from collections.abc import Sequence

from unlearn_server.log.merkle import (
    Coordinate,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
)


class Tree:
    """Leaves, the frontier after each, and the complete nodes."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.frontiers = [Frontier()]
        self.stored: dict[Coordinate, bytes] = {}
        self.fetches: list[Sequence[Coordinate]] = []
        for leaf in leaves:
            frontier, nodes = self.frontiers[-1].append(leaf_hash(leaf))
            self.frontiers.append(frontier)
            self.stored.update(nodes)

    def nodes(self, coordinates: Sequence[Coordinate]) -> list[bytes]:
        self.fetches.append(coordinates)
        return [self.stored[coordinate] for coordinate in coordinates]

    def root(self, size: int) -> bytes:
        return self.frontiers[size].root

    def inclusion(self, index: int, size: int) -> list[bytes]:
        return inclusion_proof(index, size, self.nodes)

    def consistency(self, old: int, new: int) -> list[bytes]:
        return consistency_proof(old, new, self.nodes)
