"""A CSV or Parquet manifest: one row a sample.

| column | holds |
| --- | --- |
| ``sample_id`` | unique in the model |
| ``subject_id`` | the person it is about; may be empty where retention is core |
| ``label`` | a class's name, or its index if no class has that name |
| ``path`` | an image, relative to the manifest; or instead: |
| ``text`` | a text; or instead: |
| ``features``, or ``f0, f1, ...`` | the core's features, see ``features`` |
| ``retention`` | optional: user or core |

Other columns are ignored.
"""

from collections.abc import Iterator
from pathlib import Path

from unlearn.v1.model_pb2 import Features, Sample
from unlearn_client.samples.features import FEATURES, feature_matrix, has_features
from unlearn_client.samples.labels import Labels
from unlearn_client.samples.tables import Rows, read_table

TEXT = "text"
RETENTIONS = {"user": Sample.USER, "core": Sample.CORE}


def manifest_samples(
    path: Path, labels: Labels, retention: Sample.Retention.ValueType
) -> Iterator[Sample]:
    """The samples of a manifest, in its order.

    Args:
        path: a .csv or .parquet file.
        labels: of the model.
        retention: of every row that does not say its own.

    Raises:
        SampleFileError: naming the file, the row from 1 (without the header) and the column.
    """
    for rows in read_table(path):
        _require_columns(rows)
        yield from _samples(rows, labels, retention)


def _require_columns(rows: Rows) -> None:
    for column in ("sample_id", "label"):
        if column not in rows.columns:
            raise rows.error("is missing", column=column)
    if has_features(rows) + ("path" in rows.columns) + (TEXT in rows.columns) != 1:
        raise rows.error(
            f"give either it, {TEXT} or features (columns {FEATURES}, or f0, f1, ...)",
            column="path",
        )


def _samples(rows: Rows, labels: Labels, retention: Sample.Retention.ValueType) -> Iterator[Sample]:
    sample_ids = rows.texts("sample_id")
    subject_ids = rows.texts("subject_id")
    label_texts = rows.texts("label")
    retentions = rows.texts("retention")
    for index, sample in enumerate(_contents(rows)):
        sample.sample_id = _sample_id(rows, index, sample_ids[index])
        sample.label = _label(rows, index, label_texts[index], labels)
        sample.retention = _retention(rows, index, retentions[index], retention)
        sample.subject_id = _subject_id(rows, index, subject_ids[index], sample)
        yield sample


def _contents(rows: Rows) -> Iterator[Sample]:
    """Samples that hold their content and nothing else yet."""
    if "path" in rows.columns:
        for index, path in enumerate(rows.texts("path")):
            yield Sample(image=_image(rows, index, path))
    elif TEXT in rows.columns:
        for index, text in enumerate(rows.texts(TEXT)):
            yield Sample(text=_text(rows, index, text))
    else:
        for values in feature_matrix(rows):
            yield Sample(features=Features(values=values.tolist()))


def _image(rows: Rows, index: int, path: str) -> bytes:
    try:
        return (rows.file.parent / path).read_bytes()
    except OSError:  # its text holds the path, which may hold an id
        problem = "names no readable file, seen from the manifest's folder"
        raise rows.error(problem, index=index, column="path") from None


def _text(rows: Rows, index: int, text: str) -> str:
    if not text.strip():
        raise rows.error("is empty", index=index, column=TEXT)
    return text


def _sample_id(rows: Rows, index: int, sample_id: str) -> str:
    if not sample_id:
        raise rows.error("is empty", index=index, column="sample_id")
    return sample_id


def _label(rows: Rows, index: int, label: str, labels: Labels) -> int:
    try:
        return labels.index(label)
    except ValueError as error:
        raise rows.error(str(error), index=index, column="label") from None


def _retention(
    rows: Rows, index: int, text: str, default: Sample.Retention.ValueType
) -> Sample.Retention.ValueType:
    if not text:
        return default
    if text.lower() not in RETENTIONS:
        raise rows.error("must be user or core", index=index, column="retention")
    return RETENTIONS[text.lower()]


def _subject_id(rows: Rows, index: int, subject_id: str, sample: Sample) -> str:
    if not subject_id and sample.retention != Sample.CORE:
        problem = "is empty: say whom the sample is about, or that its retention is core"
        raise rows.error(problem, index=index, column="subject_id")
    return subject_id
