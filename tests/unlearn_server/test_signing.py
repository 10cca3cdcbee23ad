"""The signing key's file."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from unlearn_server import signing
from unlearn_server.errors import StartupError


def test_a_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    with pytest.raises(StartupError, match="is missing"):
        signing.read_key(path, create=False)
    first = signing.read_key(path, create=True)
    assert path.stat().st_mode & 0o777 == 0o600
    content = path.read_bytes()
    for create in (True, False):
        again = signing.read_key(path, create=create)
        assert again.private_bytes_raw() == first.private_bytes_raw()
    assert path.read_bytes() == content
    assert signing.read_key(tmp_path / "other", create=True) != first
    public = load_pem_public_key(signing.public_pem(first.public_key()).encode())
    assert public == first.public_key()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o610])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "signing.key"
    signing.read_key(path, create=True)
    path.chmod(mode)
    with pytest.raises(StartupError, match="chmod 600"):
        signing.read_key(path, create=False)


def test_an_error_does_not_show_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "signing.key"
    signing.read_key(path, create=True)
    lines = path.read_text().splitlines()
    monkeypatch.setenv("UNLEARN_SIGNING_KEY", "\n".join(lines[:2]))
    with pytest.raises(StartupError) as refused:
        signing.open_key(path, create=True)
    assert lines[1] not in str(refused.value)
