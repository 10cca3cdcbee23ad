"""Files on disk as ``Sample`` messages, one at a time."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from unlearn.v1.model_pb2 import Sample
from unlearn_client.samples.folder import folder_samples
from unlearn_client.samples.labels import Labels
from unlearn_client.samples.manifest import manifest_samples

__all__ = ["read_samples"]


def read_samples(
    path: Path,
    classes: Sequence[str],
    *,
    subject_from: re.Pattern[str] | None = None,
    retention: Sample.Retention.ValueType = Sample.USER,
) -> Iterator[Sample]:
    """Reads a folder of class folders, or a CSV or Parquet manifest.

    Args:
        path: see ``folder_samples`` and ``manifest_samples``.
        classes: of the model, ``Model.classes``.
        subject_from: finds the subject in a file's path; for folders alone.
        retention: of every sample that does not say its own.

    Raises:
        SampleFileError: when the iterator reaches something that cannot be used.
    """
    labels = Labels(classes)
    if path.is_dir():
        return folder_samples(path, labels, subject_from, retention)
    return manifest_samples(path, labels, retention)
