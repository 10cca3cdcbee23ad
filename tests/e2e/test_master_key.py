"""The master key of a real server: from each source, replaced while it serves, and missing."""

import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands import exit_code
from tests.e2e.evidence import erase
from unlearn_client import Selection
from unlearn_server.errors import StartupError
from unlearn_server.failpoints import ENVIRONMENT, Failpoint
from unlearn_server.private_files import create_private

CLASSES = ["cat", "dog", "bird"]
ROTATE = ("keys", "rotate-master", "--data-dir")
POINTS = [point for point in Failpoint if point.startswith("master.")]

# A key-management service that turns keys round.
SERVICE = """\
import base64, sys
print(base64.b64encode(base64.b64decode(sys.stdin.read())[::-1]).decode())
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def command(*words: str, **environment: str) -> tuple[int, str]:
    """Runs unlearn-server with words; its exit code and what it said."""
    run = subprocess.run(
        [Path(sys.executable).with_name("unlearn-server"), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    return run.returncode, run.stdout + run.stderr


def rotate(data_dir: Path, *words: str, **environment: str) -> tuple[int, str]:
    return command(*ROTATE, str(data_dir), *words, **environment)


def fill(server: Any, make_sample: Callable[..., Any]) -> None:
    server.client.create_model("m", "features:3", CLASSES)
    server.client.add_samples("m", [make_sample(f"s{i}", f"p{i // 2}") for i in range(40)])
    server.client.create_release("m")


def works(server: Any, make_sample: Callable[..., Any], number: int) -> None:
    """Erases one person, adds another, and makes what it serves from the rows again."""
    outcome = erase(server, "m", Selection.subjects([f"p{number}"])).outcome
    assert outcome.erased_samples == 2
    server.client.add_samples("m", [make_sample(f"new{number}", f"new{number}")])
    assert server.client.audit_model("m").consistent


@pytest.mark.parametrize(
    ("on_postgresql", "points"),
    [(False, POINTS), (True, [Failpoint.MASTER_COMMITTED])],
    ids=["sqlite", "postgresql"],
)
def test_a_rotation_that_is_killed_anywhere_leaves_a_server_at_work(
    open_server: Any,
    make_sample: Any,
    data_dir: Path,
    request: pytest.FixtureRequest,
    on_postgresql: bool,
    points: list[Failpoint],
) -> None:
    url = request.getfixturevalue("postgres").new_database() if on_postgresql else None
    where = ("--database", url) if url else ()
    with open_server(data_dir, url) as server:
        fill(server, make_sample)
        old = (data_dir / "master.key").read_bytes()
        for number, point in enumerate(points):
            killed = exit_code(*ROTATE, str(data_dir), *where, **{ENVIRONMENT: f"{point}=kill"})
            assert killed == -signal.SIGKILL
            works(server, make_sample, number)
        code, said = rotate(data_dir, *where)
        assert (code, said.startswith("the master key in force is ")) == (0, True)
        works(server, make_sample, len(points))
    assert [path.name for path in data_dir.glob("master.key*")] == ["master.key"]
    assert (data_dir / "master.key").read_bytes() != old
    assert command("fsck", "--data-dir", str(data_dir), *where) == (0, "sound\n")
    with open_server(data_dir, url) as server:
        works(server, make_sample, len(points) + 1)
    (data_dir / "master.key").write_bytes(old)
    code, said = command("fsck", "--data-dir", str(data_dir), *where)
    assert (code, "master.key: is not the master key in use" in said) == (2, True)


def test_a_command_unwraps_the_key_of_a_server_and_of_its_rotation(
    open_server: Any, make_sample: Any, data_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "service.py").write_text(SERVICE)
    source = f"command:{sys.executable} {tmp_path / 'service.py'}"
    with open_server(data_dir, master_key=source) as server:
        fill(server, make_sample)
        code, said = rotate(data_dir, "--master-key", source)
        assert code == 0, said
        works(server, make_sample, 1)
    with open_server(data_dir, master_key=source) as server:
        works(server, make_sample, 2)
    assert not (data_dir / "master.key").exists()
    (tmp_path / "service.py").write_text("import sys; sys.exit('denied')")
    code, said = rotate(data_dir, "--master-key", source)
    assert code == 2
    assert said == (
        "denied\nunlearn-server: --master-key: the command ended with 1 when told to unwrap; "
        "see what it said\n"
    )


def test_a_key_in_the_environment_is_replaced_while_the_server_is_stopped(
    open_server: Any, make_sample: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (b64encode(os.urandom(32)).decode() for _ in range(2))
    monkeypatch.setenv("KK", first)
    with open_server(data_dir, master_key="env:KK") as server:
        fill(server, make_sample)
        code, said = rotate(data_dir, "--master-key", "env:KK", KK_NEXT=second)
        assert (code, "is in use by another server" in said) == (2, True)
    assert rotate(data_dir, "--master-key", "env:KK", KK_NEXT=second)[0] == 0
    monkeypatch.setenv("KK", second)
    with open_server(data_dir, master_key="env:KK") as server:
        works(server, make_sample, 1)
    assert {path.name for path in data_dir.glob("*.key")} == {"id-hashing.key", "signing.key"}


def test_a_server_without_its_secrets_does_not_start(
    open_server: Any, make_sample: Any, data_dir: Path
) -> None:
    with open_server(data_dir) as server:
        fill(server, make_sample)
    for name, content, words in (
        ("master.key", None, r"^master\.key: cannot be read; restore it from a backup$"),
        ("master.key", bytes(32), r"\(models/m: 40 samples and the release do not open\)$"),
        ("id-hashing.key", None, r"^id-hashing\.key: cannot be read; restore it from a backup$"),
        ("id-hashing.key", bytes(32), "so no request would find its samples; restore it"),
    ):
        kept = (data_dir / name).rename(data_dir / "kept")
        if content:
            create_private(data_dir / name, content)
        with pytest.raises(StartupError, match=words), open_server(data_dir):
            pass
        kept.rename(data_dir / name)
    with open_server(data_dir) as server:
        works(server, make_sample, 1)
