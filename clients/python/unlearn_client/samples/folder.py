"""A folder of class folders of images.

    photos/
      cat/  alice-1.png  alice-2.png
      dog/  bob-1.jpg

File names often hold the very ids that no error may show, so errors count instead:
"class folder 2, file 7", both in sorted order and from 1.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from unlearn.v1.model_pb2 import Sample
from unlearn_client.errors import SampleFileError
from unlearn_client.samples.labels import Labels

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})


def folder_samples(
    root: Path,
    labels: Labels,
    subject_from: re.Pattern[str] | None,
    retention: Sample.Retention.ValueType,
) -> Iterator[Sample]:
    """One sample an image; its sample_id is its path below ``root`` without the suffix.

    Args:
        root: holds a folder for each class, named by the class.
        labels: of the model.
        subject_from: searched in the path below the class folder; its first group, or
            all of the match, is the subject.
        retention: of every sample.

    Raises:
        SampleFileError: a folder is no class, a file no image, or a name lacks a subject.
    """
    for number, folder in enumerate(_visible(root.iterdir(), root), start=1):
        place = f"{root}, class folder {number}"
        if not folder.is_dir():
            raise SampleFileError(str(root), "holds a file beside its class folders; move it away")
        label = _label(place, folder, labels)
        for file_number, file in enumerate(images_below(folder, place), start=1):
            file_place = f"{place}, file {file_number}"
            yield Sample(
                sample_id=file.relative_to(root).with_suffix("").as_posix(),
                subject_id=_subject(file_place, file, folder, subject_from),
                image=_read(file_place, file),
                label=label,
                retention=retention,
            )


def images_below(folder: Path, place: str) -> list[Path]:
    """All images in a folder and the folders below it, in sorted order.

    Raises:
        SampleFileError: there is something else; leaving it out unasked could lose data.
    """
    files = [path for path in _visible(folder.rglob("*"), folder) if path.is_file()]
    for number, file in enumerate(files, start=1):
        if file.suffix.lower() not in IMAGE_SUFFIXES:
            raise SampleFileError(f"{place}, file {number}", "is not named as a PNG or JPEG")
    return files


def _visible(paths: Iterator[Path], root: Path) -> list[Path]:
    """Those of which no part below the root is hidden."""
    return sorted(
        path
        for path in paths
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def _read(place: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # its text holds the name
        raise SampleFileError(place, "cannot be read") from None


def _label(place: str, folder: Path, labels: Labels) -> int:
    try:
        return labels.index(folder.name)
    except ValueError as error:
        raise SampleFileError(place, f"its name {error}") from None


def _subject(place: str, file: Path, folder: Path, pattern: re.Pattern[str] | None) -> str:
    if pattern is None:
        return ""
    match = pattern.search(file.relative_to(folder).as_posix())
    subject = match and match.group(1 if pattern.groups else 0)
    if not subject:
        raise SampleFileError(place, f"{pattern.pattern!r} finds no subject in its name")
    return subject
