"""Cores: fixed networks that never need forgetting, and the features they compute.

A core is data (``package``, ``folder``); an adapter computes it (``adapters``); the
``library`` knows which cores there are.
"""

from unlearning.cores.core import Core, Description
from unlearning.cores.digest import core_digest
from unlearning.cores.library import Library

__all__ = ["Core", "Description", "Library", "core_digest", "load"]


def load(name: str) -> Core:
    """Loads a core that a distribution brings; raises as ``Library.load``."""
    return Library().load(name)
