"""The golden files are what the code writes today: published formats are frozen."""

from tests.golden.make import HERE, golden_files


def test_the_formats_have_not_changed() -> None:
    made = golden_files()
    kept = {
        str(path.relative_to(HERE)): path.read_bytes()
        for path in HERE.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert made.keys() == kept.keys()
    assert [name for name, content in made.items() if kept[name] != content] == []
