"""The generated code is what the .proto files give, and the contract is well formed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROTOS = Path(__file__).parents[2] / "protos"
BIN = Path(sys.executable).parent


def test_the_generated_code_is_what_the_protos_give(tmp_path: Path) -> None:
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    subprocess.run(
        [PROTOS / "generate", tmp_path], env={**os.environ, "PATH": path}, check=True, timeout=60
    )
    fresh = {p.relative_to(tmp_path): p.read_text() for p in tmp_path.rglob("*.py*")}
    held = {p.relative_to(PROTOS): p.read_text() for p in PROTOS.rglob("*_pb2*.py*")}
    held = {path: text for path, text in held.items() if "__pycache__" not in path.parts}
    assert len(fresh) == 4 * len(list(PROTOS.rglob("*.proto")))
    assert fresh.keys() == held.keys()
    for path, text in fresh.items():
        assert held[path] == text, f"{path}: run make protos"


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "buf"), "lint", str(root)], capture_output=True, text=True, timeout=60
    )


def test_the_contract_passes_buf_lint() -> None:
    done = lint(PROTOS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_buf_lint_sees_a_field_that_is_named_against_the_rules(tmp_path: Path) -> None:
    (tmp_path / "unlearn/v1").mkdir(parents=True)
    (tmp_path / "buf.yaml").write_text((PROTOS / "buf.yaml").read_text())
    for proto in (PROTOS / "unlearn/v1").glob("*.proto"):
        (tmp_path / "unlearn/v1" / proto.name).write_text(proto.read_text())
    assert lint(tmp_path).returncode == 0
    with (tmp_path / "unlearn/v1/model.proto").open("a") as file:
        file.write("message Planted { string badName = 1; }\n")
    assert "badName" in lint(tmp_path).stdout


@pytest.mark.parametrize("proto", sorted(PROTOS.glob("unlearn/v1/*.proto")), ids=lambda p: p.name)
def test_every_service_says_what_it_is_for(proto: Path) -> None:
    lines = proto.read_text().splitlines()
    services = [i for i, line in enumerate(lines) if line.startswith("service ")]
    assert services
    assert all(lines[i - 1].startswith("// ") for i in services)
