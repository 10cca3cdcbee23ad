"""Which software runs: its version, and a digest of the code as it is installed."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import unlearn
import unlearn_server
import unlearning

NAME = "unlearn-server"


@dataclass(frozen=True)
class Software:
    """What a certificate names as its maker; ``digest`` is hex SHA-256."""

    version: str
    digest: str


@cache
def running() -> Software:
    """The version of the distribution, and the digest of its packages' files.

    The digest is SHA-256 over a line for each file in order of their names: the SHA-256 of its
    bytes in hex, two spaces, and its path from the package's parent. ``sha256sum`` prints it so.
    """
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(parent)}\n"
        for parent, path in sorted(_files(), key=lambda each: str(each[1].relative_to(each[0])))
    ]
    return Software(version(NAME), hashlib.sha256("".join(lines).encode()).hexdigest())


def _files() -> list[tuple[Path, Path]]:
    """Each file of the packages that Python did not make, after the folder it is told from."""
    return [
        (Path(package).parent, path)
        for package in (*unlearning.__path__, *unlearn.__path__, *unlearn_server.__path__)
        for path in Path(package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
