"""The digest of the software, as ``sha256sum`` makes it."""

import hashlib
import subprocess
from pathlib import Path

import unlearn
import unlearn_server
import unlearning
from unlearn_server.software import running


def test_the_digest_is_what_sha256sum_prints() -> None:
    printed = []
    for package in (unlearning, unlearn, unlearn_server):
        [root] = package.__path__
        parent = Path(root).parent
        files = ("-type", "f", "-not", "-path", "*/__pycache__/*")
        told = subprocess.run(
            ["find", Path(root).name, *files, "-exec", "sha256sum", "{}", "+"],  # noqa: S607
            cwd=parent,
            check=True,
            capture_output=True,
            text=True,
        )
        printed += told.stdout.splitlines(keepends=True)
    printed.sort(key=lambda line: line.split("  ")[1].rstrip())
    assert len(printed) > 80
    assert running().digest == hashlib.sha256("".join(printed).encode()).hexdigest()
    assert running().version
