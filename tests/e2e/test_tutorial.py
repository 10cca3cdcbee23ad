"""What the tutorial says is run, block by block, and must print what it says."""

import json
import os
import re
import shutil
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unlearning.replay.exports import Block, Source, write

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```(?:\n\n```\n(.*?)```)?", TUTORIAL, re.DOTALL)
"""Commands, and what they print where that is told."""


def run(commands: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the folder that the first block goes to."""
    shutil.copytree(ROOT / "docs" / "example", tmp_path / "docs" / "example")
    assert run(BLOCKS[0][0], tmp_path).returncode == 0
    return tmp_path / "docs" / "example"


def agree(printed: str, told: str) -> bool:
    """Whether it was printed, where a line of ``…`` stands for any lines."""
    parts = map(re.escape, re.split("^…\n", told, flags=re.MULTILINE))
    return re.fullmatch(".*".join(parts), printed, re.DOTALL) is not None


def first_failure(example: Path) -> str:
    """The heading of the section whose commands fail or print something else."""
    for commands, told in BLOCKS[1:]:
        done = run(commands, example)
        if done.returncode or not agree(done.stdout, told):
            before = TUTORIAL[: TUTORIAL.index(commands)]
            return (
                f"{re.findall('^#+ (.*)$', before, re.MULTILINE)[-1]}\n{done.stdout}{done.stderr}"
            )
    return ""


def test_every_command_prints_what_the_tutorial_says(example: Path) -> None:
    before = sorted(example.rglob("*"))
    assert first_failure(example) == ""
    assert sorted(example.rglob("*")) == before


def change(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def state(example: Path, old: bytes, new: bytes) -> None:
    """Changes the statement under the signature."""
    path = example / "certificate-4.dsse.json"
    envelope = json.loads(path.read_bytes())
    text = b64decode(envelope["payload"])
    assert old in text
    path.write_text(json.dumps({**envelope, "payload": b64encode(text.replace(old, new)).decode()}))


LIES: dict[str, Callable[[Path], None]] = {
    "1. What does it say, and who signed it?": lambda at: state(at, b'"erased":2', b'"erased":3'),
    "2. Is it in the log, for everybody to see?": lambda at: change(
        at / "certificate-4.tlog-proof", b"index 4", b"index 5"
    ),
    "3. Is it about ann?": lambda at: (at / "salt.hex").write_text("00" * 32) and None,
}


@pytest.mark.parametrize("section", LIES)
def test_each_lie_is_found_where_the_tutorial_looks_for_it(example: Path, section: str) -> None:
    LIES[section](example)
    assert first_failure(example).splitlines()[0] == section


def test_rows_that_were_changed_are_found_by_hand_and_by_the_replay(example: Path) -> None:
    with np.load(example / "fruit.npz") as export:
        source, psi = Source.from_json(json.loads(export["export.json"])), export["psi"]
        others = export["labels"], export["is_core"]
    psi[0, 0] += 1
    with (example / "fruit.npz").open("wb") as file:
        write(file, source, len(psi), [Block(psi, *others)])
    answers = []
    for commands, told in BLOCKS[1:]:
        done = run(commands, example)
        if done.returncode or not agree(done.stdout, told):
            answers.append((done.returncode, done.stdout))
    (_, shown), by_hand, replayed = answers
    assert "[[820," in shown
    assert by_hand == (0, "the weights are those of the rows that remain: False\n")
    assert replayed[0] == 1
    assert "DIFFERENT" in replayed[1]


def test_every_linked_file_exists() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", TUTORIAL):
        assert (ROOT / "docs" / target).exists(), target
