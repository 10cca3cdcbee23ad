"""Adapters: the code that computes cores of one kind, found by entry point.

A distribution adds one with a line in the group ``unlearning.adapters``, whose name is what
descriptions call it and whose object is a module like those of this package.
"""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol, cast

from unlearning.cores.core import Core
from unlearning.cores.package import Package
from unlearning.errors import CoreError

GROUP = "unlearning.adapters"


class Adapter(Protocol):
    """Computes cores of one kind. Importing it may take seconds; nothing is until it is used."""

    def load(self, package: Package) -> Core:
        """A package's core, ready to compute.

        Raises CoreError if the description, the weights or the files are not what it needs.
        """
        ...


class Packer(Protocol):
    """An adapter that also makes packages of networks in the format that it is named after."""

    def pack(
        self, source: Path, name: str, provenance: str, classes: Sequence[str] = ()
    ) -> Package:
        """A package, of what was trained on what ``provenance`` says.

        ``classes`` are those of its head, where the format does not say them. Raises CoreError
        for what it cannot read, or cannot read without running code.
        """
        ...


def packer(name: str, core: str) -> Packer:
    """The adapter of that name, for packing; raises CoreError if it packs nothing."""
    found = adapter(name, core)
    if not hasattr(found, "pack"):
        raise CoreError(
            core, f"{name} is no format to pack from", "use huggingface or torch-export"
        )
    return cast(Packer, found)


def adapter(name: str, core: str) -> Adapter:
    """The adapter of that name, for a core; raises CoreError if none is installed."""
    if name not in _adapters():
        raise CoreError(
            core,
            f"its adapter {name!r} is not installed",
            f"use one of {', '.join(sorted(_adapters()))}, or install the package that has it",
        )
    try:
        return cast(Adapter, _adapters()[name].load())
    except ImportError as error:
        problem = f"its adapter {name!r} cannot be imported: there is no {error.name}"
        fix = "install what it needs; for huggingface, pip install 'unlearn-server[hf]'"
        raise CoreError(core, problem, fix) from error


@cache
def _adapters() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
