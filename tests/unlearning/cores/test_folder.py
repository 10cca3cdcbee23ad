"""Core packages on disk: what is written is read again, and nothing else is."""

import hashlib
import json
import pickle

import numpy as np
import pytest
from safetensors.numpy import save

from unlearning.cores import core_digest, folder
from unlearning.cores.package import Package
from unlearning.errors import CoreError

WEIGHTS = {
    "w": np.arange(6, dtype=np.float32).reshape(2, 3),
    "across": np.arange(12, dtype=np.float16).reshape(3, 4).T[::2],
    "n": np.array(7, np.int64),
}
FILES = {"tokenizer.json": b'{"a": "\xc3\xa9"}'}
PACKAGE = Package.of("mine", {"format": 1, "adapter": "a", "scale": 0.5}, WEIGHTS, FILES)


@pytest.fixture
def written(tmp_path):
    folder.write(PACKAGE, tmp_path / "mine")
    return tmp_path / "mine"


def edit(written, **changes):
    """Changes the description, and pins it anew."""
    file = written / "core.json"
    document = json.loads(file.read_text())
    document["description"].update(changes)
    document["digest"] = core_digest(document["description"], WEIGHTS)
    file.write_text(json.dumps(document))


def opened(path):
    return folder.read(path, path.name).open()


class TestRoundTrip:
    def test_everything_comes_back(self, written):
        read = opened(written)
        assert read.digest == PACKAGE.digest
        assert read.description == PACKAGE.description
        assert read.files == FILES
        for name, tensor in WEIGHTS.items():
            np.testing.assert_array_equal(read.weights[name], tensor)
            assert read.weights[name].dtype == tensor.dtype

    def test_description_and_digest_are_read_without_the_weights(self, written):
        (written / "weights.safetensors").write_bytes(b"")
        assert folder.read(written, "mine").digest == PACKAGE.digest

    def test_the_digest_is_over_files_too(self):
        other = Package.of("mine", PACKAGE.description, WEIGHTS, {"tokenizer.json": b"{}"})
        assert other.digest != PACKAGE.digest
        pinned = hashlib.sha256(FILES["tokenizer.json"]).hexdigest()
        assert PACKAGE.description["files"] == {"tokenizer.json": pinned}

    def test_the_name_is_no_part_of_it(self):
        assert Package.of("other", PACKAGE.description, WEIGHTS, FILES).digest == PACKAGE.digest


def flip_weights(written):
    file = written / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def replace(name, content):
    return lambda written: (written / name).write_bytes(content)


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            pytest.param(flip_weights, "has the digest .* and it declares", id="a flipped bit"),
            pytest.param(
                replace("weights.safetensors", save({"w": WEIGHTS["w"]})),
                "has the digest",
                id="a missing tensor",
            ),
            pytest.param(
                replace("weights.safetensors", pickle.dumps(WEIGHTS)),
                "does not hold tensors",
                id="a pickle for weights",
            ),
            pytest.param(
                replace("weights.safetensors", b""), "does not hold tensors", id="no weights"
            ),
            pytest.param(
                replace("tokenizer.json", b"{}"), "tokenizer.json is not the file", id="a file"
            ),
            pytest.param(
                lambda written: edit(written, scale=0.25, files={"tokenizer.json": "0" * 64}),
                "tokenizer.json is not the file",
                id="a file's hash",
            ),
        ],
    )
    def test_content_that_is_not_what_is_pinned(self, written, change, problem):
        change(written)
        with pytest.raises(CoreError, match=problem):
            opened(written)

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            pytest.param(
                replace("model.bin", b""), "model.bin is not one of the files", id="a pickle beside"
            ),
            pytest.param(
                lambda written: (written / "tokenizer.json").unlink(), "is missing", id="no file"
            ),
            pytest.param(
                lambda written: (written / "weights.safetensors").unlink(),
                "weights.safetensors is missing",
                id="no weights",
            ),
            pytest.param(
                lambda written: (written / "core.json").unlink(), "no core.json", id="nothing said"
            ),
            pytest.param(
                lambda written: edit(written, format=2), "version 2, .* reads 1", id="newer"
            ),
            pytest.param(
                lambda written: edit(written, format="1"), "is not a version", id="no version"
            ),
            pytest.param(lambda written: edit(written, format=True), "is not a version", id="true"),
            pytest.param(
                lambda written: edit(written, files={"../../secret": "0" * 64}),
                r"'\.\./\.\./secret', which is no file of the package's own",
                id="outside",
            ),
            pytest.param(
                lambda written: edit(written, files={"/etc/passwd": "0" * 64}),
                "no file of the package's own",
                id="absolute",
            ),
            pytest.param(
                lambda written: edit(written, files={"core.json": "0" * 64}),
                "no file of the package's own",
                id="itself",
            ),
            pytest.param(
                lambda written: edit(written, files=["tokenizer.json"]),
                "files are no object",
                id="list",
            ),
            pytest.param(replace("core.json", b"{"), "is not JSON", id="half"),
            pytest.param(replace("core.json", b"[" * 100_000), "is not JSON", id="deep"),
            pytest.param(replace("core.json", b"\xff"), "is not JSON", id="no text"),
            pytest.param(
                replace("core.json", b'{"digest": "", "description": {"a": NaN}}'),
                "is not JSON that can be pinned",
                id="NaN",
            ),
            pytest.param(
                replace("core.json", b'{"digest": "", "description": {"a": 99999999999999999}}'),
                "is not JSON that can be pinned",
                id="more than a double holds",
            ),
            pytest.param(replace("core.json", b" " * 2_000_000), "is larger", id="huge"),
            pytest.param(replace("core.json", b"[]"), "is not a description", id="no object"),
            pytest.param(
                replace("core.json", b'{"description": [], "digest": ""}'), "is no object", id="[]"
            ),
            pytest.param(
                replace("core.json", b'{"description": {}, "digest": "abc"}'),
                "no SHA-256",
                id="abc",
            ),
        ],
    )
    def test_folders_that_are_no_package(self, written, change, problem):
        change(written)
        with pytest.raises(CoreError, match=problem):
            folder.read(written, "mine")

    @pytest.mark.parametrize("name", ["tokenizer.json", "weights.safetensors", "core.json"])
    def test_links_are_not_followed(self, written, tmp_path, name):
        elsewhere = tmp_path / "elsewhere"
        (written / name).rename(elsewhere)
        (written / name).symlink_to(elsewhere)
        with pytest.raises(CoreError, match=f"{name} is a link"):
            folder.read(written, "mine")

    def test_no_folder_at_all(self, tmp_path):
        with pytest.raises(CoreError, match="cannot be read: No such file"):
            folder.read(tmp_path / "none", "none")


class TestWriting:
    def test_what_is_there_is_left_alone(self, written):
        other = Package.of("mine", {"format": 1}, {}, {})
        with pytest.raises(CoreError, match="is there already"):
            folder.write(other, written)
        assert opened(written).digest == PACKAGE.digest

    def test_a_failure_halfway_leaves_nothing(self, tmp_path):
        broken = Package("mine", PACKAGE.description, WEIGHTS, {"no/such/folder": b""})
        with pytest.raises(CoreError, match="cannot be written"):
            folder.write(broken, tmp_path / "cores" / "mine")
        assert list((tmp_path / "cores").iterdir()) == []
