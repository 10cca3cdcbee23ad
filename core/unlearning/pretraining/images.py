"""Images of a folder to train on: what they are, and their pixels at one size."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unlearning.cores._image import decode
from unlearning.errors import InvalidInputError

SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Images:
    """Encoded images, in order of their paths.

    Attributes:
        files: their paths.
        encoded: what is in them.
        labels: int64 (n,), None if they have none.
    """

    files: Sequence[Path]
    encoded: Sequence[bytes]
    labels: NDArray[np.int64] | None

    def digest(self) -> str:
        """SHA-256, in hex, of the images and the labels."""
        found = sha256()
        for image in self.encoded:
            found.update(sha256(image).digest())
        found.update(b"" if self.labels is None else self.labels.tobytes())
        return found.hexdigest()

    def pixels(self, size: int) -> NDArray[np.uint8]:
        """RGB, shape (n, size, size, 3); raises InvalidInputError, with the file, for no image."""
        return np.stack([self._decoded(i, size) for i in range(len(self.files))])

    def _decoded(self, i: int, size: int) -> NDArray[np.uint8]:
        try:
            return decode(self.encoded[i], size, i)
        except InvalidInputError as error:
            problem = f"{self.files[i]} cannot be learned from ({error})"
            raise InvalidInputError("images", problem, "repair it, or take it out") from error


def unlabelled(folder: Path) -> Images:
    """All images below a folder; raises InvalidInputError if there are none."""
    files = _files(folder)
    return Images(files, _contents(files), None)


def labelled(folder: Path) -> Images:
    """The images below a folder, each in the class of the folder of it that it is in.

    Raises:
        InvalidInputError: if there are none, if one is in no class, or if a class has a single one.
    """
    files = _files(folder)
    alone = [file for file in files if file.parent == folder]
    if alone:
        fix = "put it into a folder of its class, or say labels = false"
        raise InvalidInputError("images", f"{alone[0]} is in no class", fix)
    names = [file.relative_to(folder).parts[0] for file in files]
    classes, labels, counts = np.unique(names, return_inverse=True, return_counts=True)
    if counts.min() < 2:  # nothing but itself tells what such a class is
        problem = f"the class {str(classes[counts.argmin()])!r} has a single image"
        raise InvalidInputError("images", problem, "add some to it, or take it out")
    return Images(files, _contents(files), labels.astype(np.int64))


def _files(folder: Path) -> list[Path]:
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    files = sorted(path for path in paths if path.is_file())
    if not files:
        problem = f"there is no PNG or JPEG file below {folder}"
        raise InvalidInputError("images", problem, "name a folder of images")
    return files


def _contents(files: Sequence[Path]) -> list[bytes]:
    try:
        return [file.read_bytes() for file in files]
    except OSError as error:
        problem = f"{error.filename} cannot be read: {error.strerror}"
        raise InvalidInputError("images", problem, "make it readable, or take it out") from error
