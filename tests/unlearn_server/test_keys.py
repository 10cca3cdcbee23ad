from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearn_server.errors import DecryptionError, StartupError
from unlearn_server.keys import HASHING_FILE, MASTER_FILE, KeyRing

RING = KeyRing(bytes(range(32)), bytes(range(32, 64)))


@pytest.mark.parametrize("name", [MASTER_FILE, HASHING_FILE])
def test_makes_keys_that_only_their_owner_may_read(tmp_path: Path, name: str) -> None:
    KeyRing.open(tmp_path, create=True)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert len((tmp_path / name).read_bytes()) == 32


def test_opens_the_same_keys_again(tmp_path: Path) -> None:
    first = KeyRing.open(tmp_path, create=True)
    payload, wrapped_key = first.seal(b"a cat", b"row")
    second = KeyRing.open(tmp_path, create=True)
    assert second.unseal(payload, wrapped_key, b"row") == b"a cat"
    assert second.hash_subject("ada") == first.hash_subject("ada")


@pytest.mark.parametrize("name", [MASTER_FILE, HASHING_FILE])
def test_refuses_half_a_pair(tmp_path: Path, name: str) -> None:
    KeyRing.open(tmp_path, create=True)
    (tmp_path / name).unlink()
    with pytest.raises(StartupError, match=f"^{name}: cannot be read"):
        KeyRing.open(tmp_path, create=False)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", [MASTER_FILE, HASHING_FILE])
def test_refuses_a_key_of_another_length(tmp_path: Path, name: str) -> None:
    KeyRing.open(tmp_path, create=True)
    (tmp_path / name).write_bytes(b"short")
    with pytest.raises(StartupError, match=f"^{name}: is not 32 bytes"):
        KeyRing.open(tmp_path, create=True)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_refuses_a_key_that_others_may_touch(tmp_path: Path, mode: int) -> None:
    KeyRing.open(tmp_path, create=True)
    (tmp_path / MASTER_FILE).chmod(mode)
    with pytest.raises(StartupError, match="chmod 600"):
        KeyRing.open(tmp_path, create=True)


@given(plaintext=st.binary(), identity=st.binary())
def test_opens_what_it_sealed(plaintext: bytes, identity: bytes) -> None:
    assert RING.unseal(*RING.seal(plaintext, identity), identity) == plaintext


def test_seals_nothing_twice_alike() -> None:
    first, second = RING.seal(b"a cat", b"row"), RING.seal(b"a cat", b"row")
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_hides_what_it_seals() -> None:
    payload, wrapped_key = RING.seal(b"a very recognisable cat", b"row")
    assert b"cat" not in payload + wrapped_key


@given(st.data())
def test_does_not_open_what_was_altered(data: st.DataObject) -> None:
    parts = [bytearray(part) for part in RING.seal(b"a cat", b"row")]
    part = data.draw(st.sampled_from(parts))
    part[data.draw(st.integers(0, len(part) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DecryptionError):
        RING.unseal(bytes(parts[0]), bytes(parts[1]), b"row")


def test_does_not_open_under_another_identity_or_key() -> None:
    payload, wrapped_key = RING.seal(b"a cat", b"row")
    with pytest.raises(DecryptionError):
        RING.unseal(payload, wrapped_key, b"another row")
    with pytest.raises(DecryptionError):
        KeyRing(bytes(32), bytes(32)).unseal(payload, wrapped_key, b"row")


@pytest.mark.parametrize("length", [0, 5, 12, 20])
def test_does_not_open_what_was_cut(length: int) -> None:
    payload, wrapped_key = RING.seal(b"a cat", b"row")
    with pytest.raises(DecryptionError):
        RING.unseal(payload[:length], wrapped_key, b"row")
    with pytest.raises(DecryptionError):
        RING.unseal(payload, wrapped_key[:length], b"row")


def test_hashes_of_one_text_differ_by_purpose_and_key() -> None:
    other = KeyRing(bytes(32), bytes(32))
    hashes = {
        RING.hash_subject("x"),
        RING.hash_sample("x"),
        RING.hash_content(b"x"),
        other.hash_subject("x"),
    }
    assert len(hashes) == 4
    assert {len(digest) for digest in hashes} == {32}
