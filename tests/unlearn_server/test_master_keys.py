"""A master key from each source, and what is said of one that cannot be had."""

import os
import stat
import sys
from base64 import b64encode
from pathlib import Path
from time import monotonic

import pytest

from unlearn_server import master_keys
from unlearn_server.errors import StartupError
from unlearn_server.master_keys import WRAPPED_FILE, MasterKeys, source
from unlearn_server.private_files import overwrite

KEY, NEXT = bytes(range(32)), bytes(range(32, 64))

# A key-management service, as a stranger would write one from the description alone.
SERVICE = """\
import base64, sys
data = base64.b64decode(sys.stdin.read())
turned = bytes(byte ^ 0x5A for byte in data)
if sys.argv[1:] == ["wrap"]:
    print(base64.b64encode(b"wrapped:" + turned).decode())
elif sys.argv[1:] == ["unwrap"]:
    if not data.startswith(b"wrapped:"):
        sys.exit("this is not of mine")
    print(base64.b64encode(bytes(byte ^ 0x5A for byte in data[8:])).decode())
else:
    sys.exit("usage")
"""


def command(tmp_path: Path, program: str) -> MasterKeys:
    file = tmp_path / "a service.py"
    file.write_text(program)
    return source(f"command:{sys.executable} '{file}'", tmp_path)


@pytest.fixture(params=["file", "command"])
def in_file(request: pytest.FixtureRequest, tmp_path: Path) -> MasterKeys:
    if request.param == "command":
        return command(tmp_path, SERVICE)
    return source(f"file:{tmp_path / 'some.key'}", tmp_path)


def test_a_key_is_made_once_and_replaced_by_the_next(in_file: MasterKeys, tmp_path: Path) -> None:
    in_file.create()
    [key] = in_file.read()
    in_file.create()
    assert in_file.read() == [key]
    following = in_file.following()
    assert in_file.following() == following != key
    assert in_file.read() == [key, following]
    in_file.promote()
    assert in_file.read() == [following]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.key*")}
    assert (modes, len(list(tmp_path.glob("*.key*")))) == ({0o600}, 1)


def test_a_key_that_is_replaced_is_overwritten(in_file: MasterKeys, tmp_path: Path) -> None:
    in_file.create()
    [old] = tmp_path.glob("*.key")
    os.link(old, tmp_path / "kept")  # shows what the old file's place holds after it is gone
    in_file.following()
    in_file.promote()
    assert not any((tmp_path / "kept").read_bytes())


def test_one_that_was_overwritten_and_not_yet_replaced_is_none(
    in_file: MasterKeys, tmp_path: Path
) -> None:
    in_file.create()
    [old] = tmp_path.glob("*.key")
    following = in_file.following()
    overwrite(old)
    assert in_file.read() == [following]
    in_file.promote()
    assert in_file.read() == [following]


def test_without_a_source_it_is_the_file_in_the_data_directory(tmp_path: Path) -> None:
    source(None, tmp_path).create()
    assert (tmp_path / "master.key").stat().st_size == 32


def test_a_command_keeps_the_key_wrapped_on_disk(tmp_path: Path) -> None:
    keys = command(tmp_path, SERVICE)
    keys.create()
    [key] = keys.read()
    wrapped = (tmp_path / WRAPPED_FILE).read_bytes()
    assert wrapped == b"wrapped:" + bytes(byte ^ 0x5A for byte in key)
    assert [path.name for path in tmp_path.glob("*.key*")] == [WRAPPED_FILE]


def test_variables_hold_the_key_and_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    keys = source("env:KK", tmp_path)
    monkeypatch.setenv("KK", b64encode(KEY).decode())
    keys.create()
    assert keys.read() == [KEY]
    monkeypatch.setenv("KK_NEXT", b64encode(NEXT).decode() + "\n")
    assert keys.read() == [KEY, NEXT]
    assert keys.following() == NEXT
    keys.promote()
    assert keys.read() == [KEY, NEXT]
    monkeypatch.setenv("KK_NEXT", b64encode(KEY).decode())
    with pytest.raises(StartupError, match=r"^KK_NEXT: is the key in force"):
        keys.following()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "is not set; give it 32 random bytes"),
        ("", "is not set"),
        ("no base64!", "is no base64"),
        (b64encode(KEY[:31]).decode(), "is not 32 bytes long"),
    ],
)
def test_a_variable_that_holds_no_key(monkeypatch, tmp_path: Path, text, words: str) -> None:
    monkeypatch.delenv("KK", raising=False)
    if text is not None:
        monkeypatch.setenv("KK", text)
    with pytest.raises(StartupError, match=f"^KK: {words}") as caught:
        source("env:KK", tmp_path).read()
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (None, 0o600, "cannot be read"),
        (b"", 0o600, "is not 32 bytes long"),
        (KEY + b"\n", 0o600, "is not 32 bytes long"),
        (KEY, 0o644, "others may read or write it"),
    ],
)
def test_a_file_that_holds_no_key(tmp_path: Path, content, mode: int, words: str) -> None:
    path = tmp_path / "a.key"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(StartupError, match=f"^a.key: {words}"):
        source(f"file:{path}", tmp_path).read()


@pytest.mark.parametrize("text", ["file:", "env:", "command:", "vault:x", "/a/path"])
def test_what_names_no_source(tmp_path: Path, text: str) -> None:
    with pytest.raises(StartupError, match=r"^--master-key: is none of file:PATH"):
        source(text, tmp_path)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit(3)", "the command ended with 3 when told to wrap"),
        ("print('no base64!')", "what the command answered to wrap: is no base64"),
        ("print('AAAA')", "the command does not unwrap what it wrapped"),
        ("import os; os.abort()", "the command ended with -6 when told to wrap"),
    ],
)
def test_a_command_that_does_not_do_it(tmp_path: Path, program: str, words: str) -> None:
    with pytest.raises(StartupError, match=f"^--master-key: {words}"):
        command(tmp_path, program).create()
    assert not (tmp_path / WRAPPED_FILE).exists()


def test_a_command_that_cannot_unwrap_what_is_there(tmp_path: Path) -> None:
    keys = command(tmp_path, SERVICE)
    keys.create()
    (tmp_path / WRAPPED_FILE).write_bytes(b"wrapped:short")
    with pytest.raises(StartupError, match=f"^{WRAPPED_FILE}: is not 32 bytes long"):
        keys.read()
    with pytest.raises(StartupError, match="cannot be run: No such file or directory"):
        source("command:/no/such/program", tmp_path).read()


def test_a_command_that_hangs_is_ended_with_all_that_it_started(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(master_keys, "_PATIENCE_SECONDS", 0.5)
    hanging = "import subprocess; subprocess.run(['sleep', '60'])"
    began = monotonic()
    with pytest.raises(StartupError, match=r"did not wrap the key within 0.5 s"):
        command(tmp_path, hanging).create()
    assert monotonic() - began < 30  # the pipe to the sleeper would have been read to its end
