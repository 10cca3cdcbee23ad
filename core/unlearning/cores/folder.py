"""A core package on disk: a folder of data, none of which is ever run or unpickled.

    NAME/
      core.json             {"digest": SHA-256 in hex, "description": {...}}
      weights.safetensors   the tensors
      ...                   the files that the description pins, if any

A folder that holds anything else, or a link, is refused: what is not under the digest is
not part of a core.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import rfc8785
from safetensors import SafetensorError
from safetensors.numpy import load, save

from unlearning.cores.digest import Weights
from unlearning.cores.package import FORMAT, Files, Installed, Package, pinned_files
from unlearning.errors import CoreError

DESCRIPTION_FILE, WEIGHTS_FILE = "core.json", "weights.safetensors"

LARGEST_DESCRIPTION = 2**20

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def read(folder: Path, name: str) -> Installed:
    """Reads a package's description; its weights are read when it is opened.

    Raises:
        CoreError: if this is no whole core package, or one of a newer version.
    """
    found = _entries(folder, name)
    if DESCRIPTION_FILE not in found:
        _refuse(name, f"there is no {DESCRIPTION_FILE}", "name the folder of a core package")
    document = _document(folder / DESCRIPTION_FILE, name)
    description, digest = document["description"], document["digest"]
    _check_format(description, name)
    expected = {DESCRIPTION_FILE, WEIGHTS_FILE, *_file_names(description, name)}
    for file in sorted(found ^ expected):
        if file in found:
            fix = "remove it: a core is data, and its weights are safetensors, never a pickle"
            _refuse(name, f"{file} is not one of the files that its description names", fix)
        _refuse(name, f"{file} is missing", "copy the whole package")
    return Installed(name, description, digest, lambda: _contents(folder, name, description))


def write(package: Package, folder: Path) -> None:
    """Writes a package as a new folder, whole or not at all.

    Raises:
        CoreError: if the folder is there already, or cannot be written.
    """
    document = {"description": package.description, "digest": package.digest}
    if folder.exists():
        _refuse(package.name, f"{folder} is there already", "name a new folder")
    try:
        with _appearing(folder) as making:
            _write(making / DESCRIPTION_FILE, _json(document))
            # safetensors takes a tensor's memory as it lies.
            rows = {name: np.array(one, order="C") for name, one in package.weights.items()}
            _write(making / WEIGHTS_FILE, save(rows))
            for file, content in package.files.items():
                _write(making / file, content)
    except OSError as error:
        problem = f"{folder} cannot be written: {error.strerror}"
        raise CoreError(package.name, problem, "name a new folder in one that can") from error


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes its name only once it is filled."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    try:
        yield making
        making.chmod(0o755)
        making.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    _sync(file)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _entries(folder: Path, name: str) -> set[str]:
    """What a folder holds, all of it plain files of its own."""
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError as error:
        problem = f"{folder} cannot be read: {error.strerror}"
        raise CoreError(name, problem, "name the folder of a core package") from error
    for entry in found:
        if not entry.is_file(follow_symlinks=False):
            _refuse(name, f"{entry.name} is a link or a folder", "put plain files there alone")
    return {entry.name for entry in found}


def _document(file: Path, name: str) -> dict[str, Any]:
    fix = f"write {DESCRIPTION_FILE} as core export does"
    try:
        if file.stat().st_size > LARGEST_DESCRIPTION:
            _refuse(name, f"{DESCRIPTION_FILE} is larger than a description may be", fix)
        document = json.loads(file.read_bytes())
        rfc8785.dumps(document)  # what the digest is over, and no NaN has
    except OSError as error:
        problem = f"{DESCRIPTION_FILE} cannot be read: {error.strerror}"
        raise CoreError(name, problem, "let the server read it") from error
    except (ValueError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise CoreError(name, f"{DESCRIPTION_FILE} is not JSON that can be pinned", fix) from error
    if not isinstance(document, dict) or document.keys() != {"description", "digest"}:
        _refuse(name, f"{DESCRIPTION_FILE} is not a description with its digest", fix)
    if not isinstance(document["description"], dict):
        _refuse(name, f"the description in {DESCRIPTION_FILE} is no object", fix)
    if not isinstance(document["digest"], str) or not _DIGEST.fullmatch(document["digest"]):
        _refuse(name, f"the digest in {DESCRIPTION_FILE} is no SHA-256 in hex", fix)
    return document


def _check_format(description: dict[str, Any], name: str) -> None:
    version = description.get("format")
    if type(version) is not int or version < 1:
        _refuse(name, "its description's format is not a version", f"say {FORMAT}")
    if version > FORMAT:
        problem = f"its description is of version {version}, and this server reads {FORMAT}"
        _refuse(name, problem, "install a newer unlearn-server")


def _file_names(description: dict[str, Any], name: str) -> set[str]:
    if not isinstance(description.get("files", {}), dict):
        _refuse(name, "its description's files are no object", "give each file's SHA-256")
    for file in pinned_files(description):
        if not _FILE.fullmatch(file) or file in (DESCRIPTION_FILE, WEIGHTS_FILE):
            problem = f"its description names {file!r}, which is no file of the package's own"
            _refuse(name, problem, "use plain names, without folders")
    return set(pinned_files(description))


def _contents(folder: Path, name: str, description: dict[str, Any]) -> tuple[Weights, Files]:
    try:
        weights = load((folder / WEIGHTS_FILE).read_bytes())
        files = {file: (folder / file).read_bytes() for file in pinned_files(description)}
    except OSError as error:
        raise CoreError(name, f"cannot be read: {error.strerror}", "install it anew") from error
    # KeyError: a dtype that NumPy has not.
    except (SafetensorError, KeyError, ValueError) as error:
        problem = f"{WEIGHTS_FILE} does not hold tensors that NumPy has"
        raise CoreError(name, problem, "save them as float32 in safetensors") from error
    return weights, files


def _refuse(name: str, problem: str, fix: str) -> NoReturn:
    raise CoreError(name, problem, fix)
