"""What the README says is run, and must work."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent


def blocks(language: str, heading: str) -> list[str]:
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def address():
    with socket.create_server(("localhost", 0)) as free:
        return f"localhost:{free.getsockname()[1]}"


def test_the_commands_and_the_python_by_hand_work_in_order(tmp_path, address):
    serve, commands = blocks("sh", "By hand")[0].split(" 2> server.log &\n", 1)
    commands += blocks("sh", "FEATURES or TANGENT")[0]
    (python,) = blocks("python", "By hand")
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "UNLEARN_ADDRESS": address,
        "UNLEARN_METRICS_ADDRESS": "localhost:0",
    }
    server = subprocess.Popen(
        serve.split(), cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        wait = f"until unlearn models list; do kill -0 {server.pid} || exit 9; sleep 0.1; done\n"
        shell = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", wait + commands],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert shell.returncode == 0, shell.stderr
        assert "SUCCEEDED" in shell.stdout
        client = subprocess.run(
            [sys.executable, "-c", python.replace("localhost:50051", address)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert client.returncode == 0, client.stderr
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0


def test_make_has_the_targets_that_the_readme_names():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_place_on_the_map_exists():
    (house,) = blocks("", "The house")
    for place in re.findall(r"^(\S+/)", house, re.MULTILINE):
        assert (ROOT / place).is_dir(), place


def test_every_linked_file_exists():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
