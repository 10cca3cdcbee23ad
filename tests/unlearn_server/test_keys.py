import hashlib
import hmac
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearn_server.domain import Sealed
from unlearn_server.errors import DecryptionError, StartupError
from unlearn_server.keys import HASHING_FILE, KeyRing
from unlearn_server.master_keys import MASTER_FILE


class Fixed:
    """Master keys that are what they are."""

    name = "fixed"
    is_seen_at_once = True

    def __init__(self, *keys: bytes) -> None:
        self.keys = [*keys]

    def create(self) -> None: ...

    def read(self) -> list[bytes]:
        return self.keys

    def following(self) -> bytes:
        return self.keys[-1]

    def promote(self) -> None: ...


RING = KeyRing(Fixed(bytes(range(32))), bytes(range(32, 64)))
OTHER = KeyRing(Fixed(bytes(32)), bytes(32))
[MASTER] = RING.master_ids


def altered(sealed: Sealed, **parts: bytes) -> Sealed:
    return replace(sealed, **parts)


@pytest.mark.parametrize("name", [MASTER_FILE, HASHING_FILE])
def test_makes_keys_that_only_their_owner_may_read(tmp_path: Path, name: str) -> None:
    KeyRing.open(tmp_path, create=True)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert len((tmp_path / name).read_bytes()) == 32


def test_opens_the_same_keys_again(tmp_path: Path) -> None:
    first = KeyRing.open(tmp_path, create=True)
    sealed = first.seal(b"a cat", b"row", first.master_ids[0])
    second = KeyRing.open(tmp_path, create=True)
    assert second.unseal(sealed, b"row") == b"a cat"
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
    assert RING.unseal(RING.seal(plaintext, identity, MASTER), identity) == plaintext


def test_seals_nothing_twice_alike() -> None:
    first, second = (RING.seal(b"a cat", b"row", MASTER) for _ in range(2))
    assert first.payload != second.payload
    assert first.wrapped_key != second.wrapped_key


def test_hides_what_it_seals() -> None:
    sealed = RING.seal(b"a very recognisable cat", b"row", MASTER)
    assert b"cat" not in sealed.payload + sealed.wrapped_key


@given(st.data())
def test_does_not_open_what_was_altered(data: st.DataObject) -> None:
    sealed = RING.seal(b"a cat", b"row", MASTER)
    name = data.draw(st.sampled_from(["payload", "wrapped_key"]))
    part = bytearray(vars(sealed)[name])
    part[data.draw(st.integers(0, len(part) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DecryptionError):
        RING.unseal(altered(sealed, **{name: bytes(part)}), b"row")


def test_does_not_open_under_another_identity_or_key() -> None:
    sealed = RING.seal(b"a cat", b"row", MASTER)
    with pytest.raises(DecryptionError):
        RING.unseal(sealed, b"another row")
    with pytest.raises(DecryptionError, match="fixed: is not the master key"):
        OTHER.unseal(sealed, b"row")
    with pytest.raises(DecryptionError, match="does not open"):
        OTHER.unseal(altered(sealed, master_id=OTHER.master_ids[0]), b"row")


@pytest.mark.parametrize("length", [0, 5, 12, 20])
def test_does_not_open_what_was_cut(length: int) -> None:
    sealed = RING.seal(b"a cat", b"row", MASTER)
    for name in ("payload", "wrapped_key"):
        with pytest.raises(DecryptionError):
            RING.unseal(altered(sealed, **{name: vars(sealed)[name][:length]}), b"row")


def test_a_key_wrapped_anew_opens_with_the_other_master_key_alone() -> None:
    both = Fixed(bytes(range(32)))
    ring = KeyRing(both, bytes(32))
    sealed = ring.seal(b"a cat", b"row", MASTER)
    both.keys.append(bytes(32))  # read when it is asked for
    [anew] = OTHER.master_ids
    wrapped_key = ring.rewrap(sealed.wrapped_key, b"row", MASTER, anew)
    moved = altered(sealed, wrapped_key=wrapped_key, master_id=anew)
    assert ring.unseal(moved, b"row") == OTHER.unseal(moved, b"row") == b"a cat"
    with pytest.raises(DecryptionError):
        ring.unseal(altered(moved, master_id=MASTER), b"row")
    with pytest.raises(DecryptionError):
        ring.rewrap(sealed.wrapped_key, b"another row", MASTER, anew)


@given(salt=st.binary(min_size=32, max_size=32))
def test_a_salt_is_concealed_under_the_hashing_secret(salt: bytes) -> None:
    concealed = RING.conceal(salt)
    assert salt not in concealed
    assert RING.reveal(concealed) == salt
    assert KeyRing(Fixed(bytes(32)), bytes(range(32, 64))).reveal(concealed) == salt
    with pytest.raises(DecryptionError):
        OTHER.reveal(concealed)


def test_the_ids_of_secrets_are_those_of_the_standard_and_tell_them_apart() -> None:
    said = hmac.new(bytes(range(32)), b"unlearn-server key id", hashlib.sha256).digest()
    assert [said[:16]] == RING.master_ids
    ids = {*RING.master_ids, *OTHER.master_ids, RING.hashing_id}
    assert len(ids) == 3


def test_hashes_of_one_text_differ_by_purpose_and_key() -> None:
    hashes = {
        RING.hash_subject("x"),
        RING.hash_sample("x"),
        RING.hash_content(b"x"),
        OTHER.hash_subject("x"),
    }
    assert len(hashes) == 4
    assert {len(digest) for digest in hashes} == {32}
