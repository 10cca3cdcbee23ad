"""Which cores there are, and that they stay what they were."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from unlearning.cores import Library, folder
from unlearning.cores.package import Package
from unlearning.errors import CoreError, InvalidInputError

ROWS = np.array([[1, 2, 3]], np.float32)


def features(name, **changes):
    """A package of three features of the caller's."""
    made = Library().find("features:3").open()
    return Package(name, {**made.description, **changes}, made.weights, made.files)


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "cores")


class TestAdding:
    def test_an_added_core_is_the_core_by_another_name(self, library):
        library.add(features("mine"))
        core = library.load("mine")
        assert core.name == "mine"
        assert core.digest == library.find("mine").digest == Library().load("features:3").digest
        np.testing.assert_array_equal(core.extract("", ROWS), [[1, 2, 3, 1]])

    def test_it_is_there_for_libraries_opened_before(self, library, tmp_path):
        before = Library(tmp_path / "cores")
        library.add(features("mine"))
        assert "mine" in before.names()

    @pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a/b", "..", "a:1", "a" * 64, "é"])
    def test_names_are_plain(self, library, name):
        with pytest.raises(CoreError, match="no core's name"):
            library.add(features(name))

    @pytest.mark.parametrize("name", ["mine", "efficientnet-lite0", "features"])
    def test_a_name_is_taken_once(self, library, name):
        library.add(features("mine"))
        with pytest.raises(CoreError, match="is installed; choose another name"):
            library.add(features(name, provenance="another"))

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"adapter": "none"}, "adapter 'none' is not installed; use one of .*features"),
            ({"adapter": 3}, "adapter '3' is not installed"),
            ({"features": 0}, r"description\.features is 0"),
            ({"features": "3"}, r"description\.features is no number"),
            ({"features": True}, r"description\.features is no number"),
            ({"features": 1.5}, r"description\.features is 1.5"),
            ({"features": 9000}, "more than 8191 features"),
        ],
    )
    def test_what_no_adapter_can_load_is_not_installed(self, library, tmp_path, changes, problem):
        with pytest.raises(CoreError, match=problem):
            library.add(features("mine", **changes))
        assert "mine" not in library.names()
        assert not (tmp_path / "cores").exists()

    def test_a_library_without_a_folder_takes_none(self):
        with pytest.raises(CoreError, match="no folder of cores"):
            Library().add(features("mine"))


class TestFinding:
    def test_an_unknown_name_is_told_those_there_are(self, library):
        library.add(features("mine"))
        for name in ("other", "mine:3", "../mine", ".mine"):
            with pytest.raises(InvalidInputError, match=r"use one of .*, mine") as error:
                library.find(name)
            assert error.value.field == "core"

    def test_what_is_being_added_is_not_there_yet(self, library, tmp_path):
        folder.write(features("x"), tmp_path / "cores" / ".x")
        assert ".x" not in library.names()

    def test_a_library_that_cannot_be_read_is_told(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(CoreError, match="file cannot be read"):
            Library(tmp_path / "file").names()

    def test_a_core_is_loaded_once_for_all(self, library):
        library.add(features("mine"))
        with ThreadPoolExecutor(4) as pool:
            cores = list(pool.map(library.load, ["mine"] * 8))
        assert all(core is cores[0] for core in cores)

    def test_what_was_changed_since_is_not_loaded(self, library, tmp_path):
        library.add(features("mine"))
        file = tmp_path / "cores" / "mine" / "core.json"
        file.write_text(file.read_text().replace('"features": 3', '"features": 4'))
        with pytest.raises(CoreError, match="has the digest"):
            library.load("mine")


def test_an_adapter_that_cannot_be_imported_says_what_is_missing(library, monkeypatch):
    monkeypatch.setitem(sys.modules, "unlearning.cores.huggingface", None)
    with pytest.raises(CoreError, match=r"cannot be imported: .*unlearn-server\[hf\]"):
        library.add(features("mine", adapter="huggingface"))
