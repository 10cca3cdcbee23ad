"""The commitments of rows, computed from these rows alone."""

from collections.abc import Iterable
from dataclasses import dataclass

from unlearning.commitment import (
    row_digest,
    tangent_state_commitment,
    weights_commitment,
)
from unlearning.forgetting import MixedPrivacyModel
from unlearning.multiset import canonical_rows
from unlearning.objective import Objective
from unlearning.replay.exports import Block


@dataclass(frozen=True)
class Recomputed:
    """What a release of some rows commits to.

    Attributes:
        state: the state commitment.
        weights: the weights commitment; None where weights are no function of the rows to the
            last bit: with noise, and of TANGENT.
    """

    state: bytes
    weights: bytes | None


def recompute(objective: Objective, salt: bytes, blocks: Iterable[Block]) -> Recomputed:
    """Commits under a salt to the rows of some blocks, in whatever order they come.

    Raises:
        CapacityError: if they are too many, or too large, to be held exactly.
        NotSolvableError: as a fault of the machine.
    """
    if objective.is_tangent:
        return Recomputed(_tangent_state(objective, salt, blocks), None)
    model = MixedPrivacyModel(objective)
    for block in blocks:
        model.add(block.entries, block.labels, block.is_core)
    state = model.state_commitment(salt)
    if not objective.is_exact:
        return Recomputed(state, None)
    return Recomputed(state, weights_commitment(salt, objective, model.release().weights))


def _tangent_state(objective: Objective, salt: bytes, blocks: Iterable[Block]) -> bytes:
    everything, core = list[bytes](), list[bytes]()
    for block in blocks:
        rows = canonical_rows(block.entries, block.labels, block.is_core)
        for digest, is_core in zip(map(row_digest, rows), block.is_core, strict=True):
            everything.append(digest)
            if is_core:
                core.append(digest)
    return tangent_state_commitment(salt, objective, everything, core)
