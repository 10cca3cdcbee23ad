"""Files become samples; what cannot is named by its place and never by an id."""

import re

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from unlearn.v1.model_pb2 import Sample
from unlearn_client import SampleFileError
from unlearn_client.samples import read_samples

CLASSES = ["cat", "dog", "7"]
SECRET = "alice"  # noqa: S105 - an id that no error may show


@pytest.fixture
def photos(tmp_path):
    hidden = "dog/.hidden", "dog/.thumbs/bob-2.png"
    for name in ["cat/alice-1.png", "cat/alice-2.PNG", "dog/old/bob-1.jpg", *hidden]:
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return tmp_path / "photos"


@pytest.fixture
def manifest(tmp_path):
    def write(text: str):
        path = tmp_path / "samples.csv"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def table(tmp_path):
    def write(**columns):
        path = tmp_path / "samples.parquet"
        parquet.write_table(pa.table(columns), path)
        return path

    return write


def refusal(path, **options) -> str:
    with pytest.raises(SampleFileError) as raised:
        list(read_samples(path, CLASSES, **options))
    assert SECRET not in str(raised.value)
    return str(raised.value)


def test_a_folder_of_class_folders(photos):
    found = list(read_samples(photos, CLASSES, subject_from=re.compile(r"([a-z]+)-\d")))
    assert [(s.sample_id, s.subject_id, s.label) for s in found] == [
        ("cat/alice-1", "alice", 0),
        ("cat/alice-2", "alice", 0),
        ("dog/old/bob-1", "bob", 1),
    ]
    assert found[0].image == b"cat/alice-1.png"
    assert found[0].retention == Sample.USER


def test_a_pattern_without_a_group_is_the_subject(photos):
    found = list(read_samples(photos, CLASSES, subject_from=re.compile("[a-z]+(?=-)")))
    assert [s.subject_id for s in found] == ["alice", "alice", "bob"]


def test_core_samples_need_no_subject(photos):
    found = list(read_samples(photos, CLASSES, retention=Sample.CORE))
    assert {(s.subject_id, s.retention) for s in found} == {("", Sample.CORE)}


def test_what_a_folder_may_not_hold(photos):
    named = re.compile("(bob)-")
    assert "class folder 1, file 1: '(bob)-' finds no subject" in refusal(
        photos, subject_from=named
    )
    (photos / "cat" / "alice.txt").touch()
    assert "class folder 1, file 3: is not named as a PNG" in refusal(photos, subject_from=named)
    (photos / "alice").mkdir()
    assert "class folder 1: its name names no class" in refusal(photos, subject_from=named)
    (photos / "alice.png").touch()
    (photos / "alice").rmdir()
    assert "beside its class folders" in refusal(photos, subject_from=named)


@pytest.mark.usefixtures("photos")
def test_a_csv_of_paths(manifest):
    path = manifest(
        "sample_id,subject_id,label,path,retention,note\n"
        "007,alice,dog,photos/cat/alice-1.png,,x\n"
        "8,,7,photos/cat/alice-2.PNG,core,x\n"
        "9,bob,1,photos/dog/old/bob-1.jpg,User,x\n"
    )
    found = list(read_samples(path, CLASSES))
    assert [(s.sample_id, s.subject_id, s.label) for s in found] == [
        ("007", "alice", 1),
        ("8", "", 2),
        ("9", "bob", 1),
    ]
    assert [s.retention for s in found] == [Sample.USER, Sample.CORE, Sample.USER]
    assert found[0].image == b"cat/alice-1.png"


def test_a_csv_of_features(manifest):
    path = manifest("f1,f0,sample_id,subject_id,label,f2\n2,1,a,s,cat,3e-1\n-2,-1,b,s,dog,0\n")
    found = list(read_samples(path, CLASSES))
    assert [list(s.features.values) for s in found] == [
        pytest.approx([1, 2, 0.3]),
        [-1, -2, 0],
    ]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.list_(pa.int32()), pa.list_(pa.float32(), 2)]
)
def test_a_parquet_of_features(table, kind):
    path = table(
        sample_id=[7, 8],
        subject_id=["s", None],
        label=["cat", "dog"],
        retention=[None, "core"],
        features=pa.array([[1, 2], [3, 4]], kind),
    )
    found = list(read_samples(path, CLASSES))
    assert [(s.sample_id, list(s.features.values)) for s in found] == [("7", [1, 2]), ("8", [3, 4])]


def test_a_manifest_is_read_in_batches_with_rows_counted_through(table):
    count = 3000
    labels = ["cat"] * (count - 1) + ["alice"]
    ids = [str(number) for number in range(count)]
    path = table(sample_id=ids, subject_id=ids, label=labels, f0=[1.0] * count)
    assert "samples.parquet, row 3000, column label: names no class" in refusal(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "cannot be read as csv"),
        ("subject_id,label,f0\nalice,cat,1\n", "column sample_id: is missing"),
        ("sample_id,subject_id,f0\na,alice,1\n", "column label: is missing"),
        (
            "sample_id,subject_id,label\na,alice,cat\n",
            "column path: give either it, text or features",
        ),
        ("sample_id,label,path,text\nalice,cat,x,y\n", "column path: give either it, text"),
        ("sample_id,label,text,f0\nalice,cat,x,1\n", "column path: give either it, text"),
        ("sample_id,subject_id,label,text\na,alice,cat, \n", "row 1, column text: is empty"),
        (
            "sample_id,label,path,f0\nalice,cat,x,1\n",
            "column path: give either it, text or features",
        ),
        ("sample_id,label,label,f0\nalice,cat,x,1\n", "two columns have the same name"),
        ("sample_id,subject_id,label,f1\nalice,s,cat,1\n", "column f1: comes after a gap"),
        ("sample_id,subject_id,label,features\nalice,s,cat,[1]\n", "column features: must hold"),
        (
            "sample_id,subject_id,label,f0\na,s,cat,1\nb,s,alice,1\n",
            "row 2, column label: names",
        ),
        ("sample_id,subject_id,label,f0\nalice,s,3,1\n", "row 1, column label: names no class"),
        ("sample_id,subject_id,label,f0\nalice,,cat,1\n", "row 1, column subject_id: is empty"),
        ("sample_id,subject_id,label,f0\n,alice,cat,1\n", "row 1, column sample_id: is empty"),
        (
            "sample_id,subject_id,label,f0\na,s,cat,1\n\nb,s,cat,alice\n",
            "row 2, column f0: is not",
        ),
        ("sample_id,subject_id,label,f0\na,s,cat,1\nb,alice,cat,\n", "row 2, column f0: is not"),
        ("sample_id,subject_id,label,f0\na,s,cat,1\nb,alice,cat\n", "row 2: has more or fewer"),
        (
            "sample_id,subject_id,label,path\na,s,cat,alice.png\n",
            "row 1, column path: names no readable",
        ),
        (
            "sample_id,subject_id,label,f0,retention\na,s,cat,1,alice\n",
            "row 1, column retention: must be user or core",
        ),
    ],
)
def test_bad_rows_are_named_by_their_place(manifest, text, expected):
    assert f"samples.csv{', ' if ': ' in expected else ': '}{expected}" in refusal(manifest(text))


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ([[1.0], [1.0, 2.0]], "row 2, column features: is empty, or not as long"),
        ([[1.0], None], "row 2, column features: is empty, or not as long"),
        ([[], []], "row 1, column features: is empty"),
        ([[1.0, 2.0], [3.0, None]], "row 2, column features: is not a number"),
        ([["alice"], ["bob"]], "row 1, column features: is not a number"),
    ],
)
def test_bad_lists_are_named_by_their_place(table, features, expected):
    columns = {"sample_id": ["alice", "b"], "subject_id": ["s", "s"], "label": ["cat", "cat"]}
    assert expected in refusal(table(**columns, features=features))


def test_other_files_are_refused(tmp_path):
    other = tmp_path / "samples.xls"
    other.touch()
    assert "neither .csv nor .parquet" in refusal(other)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"alice")
    assert "cannot be read as parquet" in refusal(broken)
