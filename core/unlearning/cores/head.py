"""A core's own head: a classifier whose classes have names, and whose logits are f_c.

A model whose classes are all among them, by name, starts from what the network itself answers:
f_c is its logits of these classes as they are, clipped to the bound of a lattice, 64: cross-entropy
puts logits on the scale of log-probabilities, and targets are on one like it. A name that the head
gives to several outputs stands for none of them.
"""

from collections import Counter
from collections.abc import Sequence

from unlearning.cores.core import Core
from unlearning.errors import InvalidInputError


def has_head(core: Core, classes: Sequence[str]) -> bool:
    """Whether the core has a head with one class of each of these names."""
    return not _lacking(core, classes)


def check_head(core: Core, classes: Sequence[str]) -> None:
    """Raises InvalidInputError, with the first class that it lacks, unless it has them all."""
    for label in _lacking(core, classes)[:1]:
        problem = f"the head of {core.name} has no class {label!r}, or several"
        fix = "name classes of its head, as core inspect shows them, or ask for no head"
        if not core.classes:
            problem, fix = f"{core.name} has no head", "use a core that has one, or ask for none"
        raise InvalidInputError("has_head", problem, fix)


def _lacking(core: Core, classes: Sequence[str]) -> list[str]:
    outputs = Counter(core.classes)
    return [label for label in classes if outputs[label] != 1]
