"""The cores there are: those of installed distributions, and those in a folder.

A core of a distribution is a module in the entry point group ``unlearning.cores``: what
follows a colon in its name is its argument (``features:512``). All others are core packages
in the library's folder, each under its own name.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from threading import Lock
from typing import Protocol, cast

from unlearning.cores import folder as folders
from unlearning.cores.adapters import adapter
from unlearning.cores.core import Core
from unlearning.cores.package import Installed, Package
from unlearning.errors import CoreError, InvalidInputError

GROUP = "unlearning.cores"

NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


class Distributed(Protocol):
    """A core that a distribution brings."""

    names: tuple[str, ...]
    """What to ask for, such as ``features:<d>``; empty if its weights are not installed."""

    def installed(self, argument: str) -> Installed:
        """The core; raises InvalidInputError for an argument that it does not take."""
        ...


class Library:
    """Finds cores by name, and loads each of them once. Safe to share between threads."""

    def __init__(self, folder: Path | None = None) -> None:
        """Takes the folder of core packages, which need not be there; none has but the built-in."""
        self._folder = folder
        self._loading = Lock()
        self._loaded: dict[str, Core] = {}

    def names(self) -> list[str]:
        """The names that ``find`` knows, the distributions' first; raises CoreError."""
        distributed = [name for core in map(_load, _distributed().values()) for name in core.names]
        return [*distributed, *sorted(self._packages())]

    def find(self, name: str) -> Installed:
        """A core's description and digest, read anew.

        Raises:
            InvalidInputError: if no core has the name.
            CoreError: if its package is not one that can be read.
        """
        family, colon, argument = name.partition(":")
        if family in _distributed():
            return _load(_distributed()[family]).installed(argument)
        if self._folder is None or colon or name not in self._packages():
            known = ", ".join(self.names())
            raise InvalidInputError("core", f"no core is called {name!r}", f"use one of {known}")
        return folders.read(self._folder / name, name)

    def load(self, name: str) -> Core:
        """The core, checked and ready to compute; raises as ``find``, and CoreError."""
        with self._loading:
            if name not in self._loaded:
                package = self.find(name).open()
                self._loaded[name] = adapter(package.adapter, name).load(package)
            return self._loaded[name]

    def add(self, package: Package) -> None:
        """Installs a package under its name, once its adapter has loaded it.

        Raises:
            CoreError: if the name is no name or taken, or the package cannot be used.
        """
        if self._folder is None:
            raise CoreError(package.name, "there is no folder of cores", "name one with --cores")
        if not NAME.fullmatch(package.name):
            fix = "use at most 63 lower-case letters, digits and hyphens, a letter first"
            raise CoreError(repr(package.name), "this is no core's name", fix)
        if package.name in {*_distributed(), *self._packages()}:
            raise CoreError(package.name, "a core of this name is installed", "choose another name")
        adapter(package.adapter, package.name).load(package)
        folders.write(package, self._folder / package.name)

    def _packages(self) -> Iterator[str]:
        """Names of folders in the library's; what is being added begins with a dot."""
        if self._folder is None:
            return
        try:
            found = [entry.name for entry in self._folder.iterdir()]
        except FileNotFoundError:
            return
        except OSError as error:
            problem = f"{self._folder} cannot be read: {error.strerror}"
            raise CoreError("the library", problem, "let the server read it") from error
        yield from filter(NAME.fullmatch, found)


def _load(point: EntryPoint) -> Distributed:
    return cast(Distributed, point.load())


@cache
def _distributed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
