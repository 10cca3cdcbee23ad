"""Merkle trees of RFC 6962: hashes, and the verification of proofs (RFC 9162, section 2.1)."""

from collections.abc import Sequence
from hashlib import sha256

from unlearn_client.errors import VerificationError

HASH_BYTES = 32
MAX_PROOF = 63
"""Hashes in an inclusion proof: a tree has fewer than 2^63 leaves."""

EMPTY_ROOT = sha256().digest()


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf's content."""
    return sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two children."""
    return sha256(b"\1" + left + right).digest()


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """MTH of all leaves' contents (RFC 6962, section 2.1); the empty tree has one too."""
    if not leaves:
        return EMPTY_ROOT
    return subtree_hash([leaf_hash(leaf) for leaf in leaves])


def subtree_hash(hashes: Sequence[bytes]) -> bytes:
    """The hash over one or more neighbouring nodes of a level, level by level."""
    level = list(hashes)
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [node_hash(*level[i : i + 2]) for i in range(0, len(level) - 1, 2)] + odd
    return level[0]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Checks that the tree holds the leaf (RFC 9162, section 2.1.3.2).

    Args:
        leaf: its hash.
        index: where it stands, from 0.
        size: how many leaves the tree has.
        proof: the siblings' hashes, from the leaf up.
        root: the tree's.

    Raises:
        VerificationError: it does not, as far as this proof shows.
    """
    if index >= size:
        raise VerificationError(f"the log has {size} entries, so none with index {index}")
    first, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise _not_included()
        if first % 2 or first == last:
            computed = node_hash(sibling, computed)
            while first % 2 == 0 and first:  # right edge: no sibling on these levels
                first, last = first >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        first, last = first >> 1, last >> 1
    if last or computed != root:
        raise _not_included()


def verify_consistency(
    first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes
) -> None:
    """Checks that the first tree is the beginning of the second (RFC 9162, section 2.1.4.2).

    Args:
        first: size of the first tree.
        second: size of the second, no smaller.
        proof: as PROOF(first, D[second]) gives it.
        first_root: the first tree's.
        second_root: the second's.

    Raises:
        VerificationError: it is not, as far as this proof shows.
    """
    if first == second:
        consistent = not proof and first_root == second_root
    elif first == 0:  # every log begins with the empty one
        consistent = not proof and first_root == EMPTY_ROOT
    else:
        consistent = _joins(first, second, proof, first_root, second_root)
    if not consistent:
        raise VerificationError(
            f"the log shows two histories: its first {first} entries of {second} "
            f"are not those that it showed when it had {first}"
        )


def _joins(
    first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes
) -> bool:
    nodes = list(proof)
    if first & (first - 1) == 0:  # a complete tree is a node of the second, left out
        nodes.insert(0, first_root)
    if not nodes:
        return False
    left, right = first - 1, second - 1
    while left % 2:
        left, right = left >> 1, right >> 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if right == 0:
            return False
        if left % 2 or left == right:
            old, new = node_hash(node, old), node_hash(node, new)
            while left % 2 == 0 and left:
                left, right = left >> 1, right >> 1
        else:
            new = node_hash(new, node)
        left, right = left >> 1, right >> 1
    return right == 0 and (old, new) == (first_root, second_root)


def _not_included() -> VerificationError:
    return VerificationError("the log's proof is not for this certificate, or was altered")
