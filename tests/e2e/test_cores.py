"""Cores of an operator's own: added as packages, used by models, pinned for ever."""

import json
import shutil
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.e2e.conftest import PATIENCE
from tests.unlearning.cores import backbones
from unlearn.v1.model_pb2 import CreateModelRequest, Model
from unlearn_server.cli import main
from unlearn_server.errors import StartupError
from unlearning.cores import Library, core_digest, folder
from unlearning.cores.package import Package

FEATURES = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["core", *map(str, arguments)])


def done(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("unlearn-server: core"), result.output
    return result.stderr


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Three features, as a package of an operator's."""
    made = Library().find("features:3").open()
    description = {**made.description, "provenance": "embeddings of public texts"}
    folder.write(Package("mine", description, {}, {}), tmp_path / "mine")
    return tmp_path / "mine"


def create(server: Any, core: str) -> Model:
    request = CreateModelRequest(model_id="m", model=Model(core=core, classes=["a", "b"]))
    answer: Model = server.models.CreateModel(request, timeout=PATIENCE)
    return answer


class TestCommands:
    def test_what_is_added_is_listed_and_inspected(self, package: Path, data_dir: Path) -> None:
        digest = json.loads((package / "core.json").read_text())["digest"]
        assert digest in done("add", package, "--data-dir", data_dir)
        names = done("list", "--data-dir", data_dir).splitlines()
        assert {"efficientnet-lite0", "features:<d>", "mine"} <= set(names)
        told = json.loads(done("inspect", "mine", "--data-dir", data_dir))
        assert (told["name"], told["digest"]) == ("mine", digest)
        assert told["description"]["provenance"] == "embeddings of public texts"

    def test_what_is_exported_can_be_added_elsewhere(self, tmp_path: Path, data_dir: Path) -> None:
        out = tmp_path / "lite0"
        told = done("export", "efficientnet-lite0", out, "--data-dir", data_dir)
        assert {file.name for file in out.iterdir()} == {"core.json", "weights.safetensors"}
        cores = tmp_path / "cores"
        added = done("add", out, "--name", "copy", "--data-dir", data_dir, "--cores", cores)
        assert "129e5366376340d47d2561668ab3cc50df6e72eb7b2cfc805af5d6c1c6969f0e" in told
        assert added.split()[-1] == told.split()[-1]
        assert (cores / "copy").is_dir()

    def test_bad_packages_leave_nothing(self, package: Path, data_dir: Path) -> None:
        file = package / "core.json"
        file.write_text(file.read_text().replace("public", "private"))
        assert "has the digest" in refused("add", package, "--data-dir", data_dir)
        assert not (data_dir / "cores").exists()

    def test_a_pickle_is_refused(self, package: Path, data_dir: Path) -> None:
        (package / "pytorch_model.bin").write_bytes(b"")
        said = refused("add", package, "--data-dir", data_dir)
        assert "pytorch_model.bin" in said
        assert "never a pickle" in said

    def test_unknown_names_are_told_those_there_are(self, data_dir: Path) -> None:
        assert "use one of" in refused("inspect", "none", "--data-dir", data_dir)
        out = data_dir / "out"
        assert "use one of" in refused("export", "none", out, "--data-dir", data_dir)

    def test_what_is_there_is_not_overwritten(self, package: Path, data_dir: Path) -> None:
        said = refused("export", "features:3", package, "--data-dir", data_dir)
        assert "is there already" in said
        assert json.loads((package / "core.json").read_text())["description"]["features"] == 3

    def test_a_network_of_another_format_is_packed(self, tmp_path: Path, data_dir: Path) -> None:
        source = backbones.bert(tmp_path / "bert")
        trained = ("--from", "huggingface", "--trained-on", "nothing at all")
        done("add", source, *trained, "--data-dir", data_dir)
        told = json.loads(done("inspect", "bert", "--data-dir", data_dir))
        assert told["description"]["provenance"]["weights"] == "nothing at all"
        assert "declared" in told["description"]["provenance"]["forgetting"]

    def test_what_it_was_trained_on_must_be_said(self, package: Path, data_dir: Path) -> None:
        result = run("add", package, "--from", "huggingface", "--data-dir", data_dir)
        assert result.exit_code == 2
        assert "--from and --trained-on go together" in result.stderr

    def test_a_package_says_its_classes_itself(self, package: Path, data_dir: Path) -> None:
        result = run("add", package, "--class", "cat", "--data-dir", data_dir)
        assert result.exit_code == 2
        assert "--class needs --from" in result.stderr

    def test_formats_that_nobody_packs_are_refused(self, package: Path, data_dir: Path) -> None:
        for name in ("features", "none"):
            trained = ("--from", name, "--trained-on", "x")
            assert "use" in refused("add", package, *trained, "--data-dir", data_dir)


class TestServer:
    def test_a_core_added_to_a_running_server_is_used(
        self, package: Path, data_dir: Path, open_server: Any
    ) -> None:
        with open_server(data_dir) as server:
            done("add", package, "--data-dir", data_dir)
            model = create(server, "mine")
            assert model.core_digest == Library(data_dir / "cores").find("mine").digest
            assert server.client.predict("m", features=FEATURES).logits.shape == (2, 2)
        with open_server(data_dir) as server:
            assert server.client.predict("m", features=FEATURES).logits.shape == (2, 2)

    @pytest.mark.parametrize("change", ["another", "gone", "broken"])
    def test_a_model_whose_core_is_another_one_is_refused_at_the_start(
        self, package: Path, data_dir: Path, open_server: Any, change: str
    ) -> None:
        done("add", package, "--data-dir", data_dir)
        with open_server(data_dir) as server:
            create(server, "mine")
        installed = data_dir / "cores" / "mine"
        if change == "another":
            file = installed / "core.json"
            document = json.loads(file.read_text())
            document["description"]["provenance"] = "something else"
            document["digest"] = core_digest(document["description"], {})
            file.write_text(json.dumps(document))
        elif change == "gone":
            shutil.rmtree(installed)
        else:
            (installed / "core.json").write_text("{")
        with (
            pytest.raises(StartupError, match="--cores: model m was created on the core mine"),
            open_server(data_dir),
        ):
            pass

    def test_what_changed_while_it_runs_is_refused_when_it_is_loaded(
        self, package: Path, data_dir: Path, open_server: Any, refusal: Any
    ) -> None:
        done("add", package, "--data-dir", data_dir)
        with open_server(data_dir) as server:
            file = data_dir / "cores" / "mine" / "core.json"
            file.write_text(file.read_text().replace("public", "private"))
            request = CreateModelRequest(model_id="m", model=Model(core="mine", classes=["a", "b"]))
            told = refusal(server.models.CreateModel, request)
        assert (told.code, told.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "CORE_UNUSABLE",
        )
        assert "has the digest" in told.message
