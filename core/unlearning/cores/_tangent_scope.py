"""Which of a network's weights are linearised: always those behind one of its layers."""

from collections.abc import Sequence

from unlearning.errors import InvalidInputError


def entrance(scope: str, layers: Sequence[str]) -> str:
    """The layer whose output the linearised weights work on.

    Args:
        scope: ``head`` for what is behind the last block, ``last:K`` for the last K blocks
            besides, or ``all``.
        layers: the network's layers: its input, the stem, the blocks, and the head.

    Raises:
        InvalidInputError: for anything else, ``last:0`` too, since a scope has one name.
    """
    blocks = len(layers) - 3
    names = {"head": 0, **{f"last:{k}": k for k in range(1, blocks + 1)}, "all": blocks + 1}
    if scope not in names:
        raise InvalidInputError(
            "user_weights.tangent_scope",
            f"{scope!r} names no weights",
            f"use head, last:1 to last:{blocks}, or all",
        )
    return layers[-2 - names[scope]]
