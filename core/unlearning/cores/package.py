"""A core as data: what it says of itself, its tensors, and the files that its adapter reads.

Whatever is in it, the digest is over all of it: files are pinned by their SHA-256 in the
description, and ``core_digest`` is over the description and the tensors.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from unlearning.cores.core import Description
from unlearning.cores.digest import Weights, core_digest
from unlearning.errors import CoreError

FORMAT = 1
"""Of descriptions; a larger number is one that this version cannot read."""

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Package:
    """All of a core, in memory.

    Attributes:
        name: what it is called here; no part of its digest.
        description: JSON values; ``adapter`` names who computes it, ``files`` pins ``files``.
        weights: tensors by name.
        files: such as a tokenizer, by file name.
    """

    name: str
    description: Description
    weights: Weights
    files: Files

    @classmethod
    def of(cls, name: str, description: Description, weights: Weights, files: Files) -> "Package":
        """A new package, whose description pins its files."""
        pinned = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
        return cls(name, {**description, **({"files": pinned} if pinned else {})}, weights, files)

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, over all of it but the name."""
        return core_digest(self.description, self.weights)

    @property
    def adapter(self) -> str:
        """The adapter that computes it; the first cores' descriptions left ``features`` out."""
        return str(self.description.get("adapter", "features"))


@dataclass(frozen=True)
class Installed:
    """A core that can be opened: its description and digest without its weights.

    Attributes:
        digest: as it is declared; ``open`` checks it.
        read: reads the tensors and the files, unchecked.
    """

    name: str
    description: Description
    digest: str
    read: Callable[[], tuple[Weights, Files]]

    def open(self) -> Package:
        """Reads the whole core.

        Raises:
            CoreError: if a part is missing, cannot be read, or is not what the digest pins.
        """
        weights, files = self.read()
        _check_files(self.name, self.description, files)
        package = Package(self.name, self.description, weights, files)
        if package.digest != self.digest:
            raise CoreError(
                self.name,
                f"its content has the digest {package.digest}, and it declares {self.digest}",
                "install it anew from where it is whole",
            )
        return package


def pinned_files(description: Description) -> Mapping[str, object]:
    """The files that a description names, with their SHA-256s."""
    files = description.get("files", {})
    return files if isinstance(files, dict) else {}


def _check_files(name: str, description: Description, files: Files) -> None:
    for file, digest in pinned_files(description).items():
        if file not in files or hashlib.sha256(files[file]).hexdigest() != digest:
            raise CoreError(
                name,
                f"{file} is not the file whose SHA-256 its description holds",
                "install it anew from where it is whole",
            )
