"""Who may import whom, as pyproject.toml says it; and that saying it has an effect."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ["core", "unlearn_server", "clients/python", "protos"]
PATHS = [".", "core", "clients/python", "protos"]


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Runs the contracts of the tree at ``root`` on the code in it."""
    return subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(root / path) for path in PATHS)},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the sources to break."""
    for source in SOURCES:
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / source, tmp_path / source, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_is_kept(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "planted", "contract"),
    [
        ("core/unlearning/lattice.py", "import grpc", "The mathematics knows no server"),
        ("core/unlearning/lattice.py", "import unlearn_server", "The mathematics knows no server"),
        ("core/unlearning/lattice.py", "import zipfile", "The mathematics knows no file"),
        ("core/unlearning/replay/command.py", "import torch", "Only what runs networks"),
        ("clients/python/unlearn_client/names.py", "import unlearning", "The client is thin"),
        ("unlearn_server/domain.py", "import unlearn_client", "The server never imports"),
        ("unlearn_server/keys.py", "import unlearn_server.eraser", "each layer imports only"),
        ("unlearn_server/ledger/models.py", "import unlearn_server.app", "each layer imports only"),
        ("unlearn_server/errors.py", "import unlearn_server.domain", "each layer imports only"),
    ],
)
def test_a_planted_violation_breaks_its_contract(
    tree: Path, module: str, planted: str, contract: str
) -> None:
    with (tree / module).open("a") as file:
        file.write(f"\n{planted}\n")
    done = lint(tree)
    assert done.returncode == 1, done.stdout
    [told] = [line for line in done.stdout.splitlines() if contract in line and "BROKEN" in line]
    assert told
